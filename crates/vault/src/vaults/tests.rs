//! Vaults on a real disk.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::asset::{Asset, Coding, Key};
use crate::file;

const MIB: u64 = 1 << 20;
const ANY: &[Coding] = &Coding::ALL;

struct World {
    dir: TempDir,
    vaults: Vaults,
}

impl World {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let vaults = Vaults::start(dir.path().join("assets")).unwrap();
        Self { dir, vaults }
    }

    fn vault(&self, size: u64) -> Arc<Vault> {
        let vault = self.vaults.of("web", size).unwrap();
        self.vaults.flush();
        vault
    }

    fn put(&self, vault: &Arc<Vault>, asset: Asset) {
        let room = vault.reserve(asset.body.len() as u64).unwrap();
        vault.put(asset, room);
        self.vaults.flush();
    }

    /// The process ends, and begins again.
    fn restart(mut self) -> Self {
        self.vaults = Vaults::start(self.dir.path().join("assets")).unwrap();
        self
    }

    fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.dir.path().join("assets/service-web")).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }
}

fn key(target: &str) -> Key {
    Key { target: Arc::from(target), coding: Coding::Identity }
}

fn asset(target: &str, body: &[u8], epoch: u64, stored_at: u64) -> Asset {
    let fields = vec![("content-type".to_owned(), b"text/javascript".to_vec())];
    Asset { key: key(target), version: format!("v{epoch}"), epoch, stored_at, fields, body: body.to_vec() }
}

fn body(vault: &Arc<Vault>, target: &str) -> Option<Vec<u8>> {
    vault.find(target, ANY, 1_000_000).map(|(asset, _)| asset.body)
}

fn targets(vault: &Vault) -> Vec<String> {
    vault.list(None, usize::MAX).iter().map(|kept| kept.key.target.to_string()).collect()
}

#[test]
fn what_was_put_is_found_also_by_the_next_process() {
    let world = World::new();
    let vault = world.vault(MIB);
    let put = asset("/a.js?v=1", b"one", 3, 77);
    assert!(vault.wants("/a.js?v=1", Coding::Identity, 3, Some(3)));
    world.put(&vault, put.clone());
    assert!(!vault.wants("/a.js?v=1", Coding::Identity, 3, Some(3)), "it is known");
    assert!(vault.wants("/a.js?v=1", Coding::Identity, 4, None), "another version may have another file");
    assert_eq!(vault.find("/a.js?v=1", ANY, 78).unwrap().0, put);
    assert_eq!((body(&vault, "/a.js"), vault.find("/a.js?v=1", &[Coding::Br], 78).is_none()), (None, true));
    let world = world.restart();
    let vault = world.vault(MIB);
    assert_eq!(vault.find("/a.js?v=1", ANY, 79).unwrap().0, put);
    let listed = vault.list(None, 10);
    let [kept] = &*listed else { panic!("{listed:?}") };
    assert_eq!(
        (kept.version.as_str(), kept.body_len, kept.content_type.as_str()),
        ("v3", 3, "text/javascript")
    );
    assert_eq!((vault.stats().entries, vault.stats().bytes), (1, 4096));
}

#[test]
fn the_best_coding_that_is_accepted_is_found() {
    let world = World::new();
    let vault = world.vault(MIB);
    for coding in [Coding::Identity, Coding::Br] {
        let put = asset("/a.js", coding.as_str().as_bytes(), 1, 1);
        world.put(&vault, Asset { key: Key { coding, ..put.key.clone() }, ..put });
    }
    let found = |accepted: &[Coding]| vault.find("/a.js", accepted, 2).map(|(asset, _)| asset.body);
    assert_eq!(found(&[Coding::Zstd, Coding::Br, Coding::Identity]).unwrap(), b"br");
    assert_eq!(found(&[Coding::Gzip, Coding::Identity]).unwrap(), b"identity");
    assert_eq!(found(&[Coding::Gzip]), None);
}

#[test]
fn of_two_versions_the_newer_one_has_the_name() {
    let world = World::new();
    let vault = world.vault(MIB);
    world.put(&vault, asset("/logo.png", b"old", 1, 1));
    world.put(&vault, asset("/logo.png", b"new", 2, 2));
    world.put(&vault, asset("/logo.png", b"old", 1, 3));
    assert_eq!(body(&vault, "/logo.png").unwrap(), b"new");
    assert_eq!((vault.stats().stored, vault.stats().rejected), (2, [0, 0, 1, 0]));
    world.put(&vault, asset("/logo.png", b"new", 3, 4));
    assert_eq!(vault.stats().stored, 2, "the same file is not written twice");
}

#[test]
fn the_longest_unused_goes_first() {
    let world = World::new();
    let vault = world.vault(MIB);
    let big = vec![7; 250_000];
    for (nth, target) in ["/a", "/b", "/c", "/d"].iter().enumerate() {
        world.put(&vault, asset(target, &big, 1, nth as u64));
    }
    assert!(body(&vault, "/a").is_some(), "which makes it the youngest");
    world.put(&vault, asset("/e", &big, 1, 2_000_000));
    assert_eq!(targets(&vault), ["/a", "/c", "/d", "/e"]);
    assert_eq!((vault.stats().evicted, world.files().len()), (1, 4));
    assert!(vault.wants("/b", Coding::Identity, 1, None), "it may come back");
    let vault = world.vault(600_000);
    assert_eq!(
        (targets(&vault), vault.stats().bytes <= 600_000),
        (vec!["/a".to_owned(), "/e".to_owned()], true)
    );
}

#[test]
fn the_order_of_use_survives_a_restart() {
    let world = World::new();
    let vault = world.vault(MIB);
    let hour = 3_600_000;
    for (target, at) in [("/a", hour), ("/b", 2 * hour)] {
        world.put(&vault, asset(target, &[7; 250_000], 1, at));
    }
    assert!(vault.find("/a", ANY, 9 * hour).is_some());
    world.vaults.flush();
    let world = world.restart();
    // The file of `/b` was written just now, by the clock of the disk: what counts there is what was told.
    let vault = world.vault(MIB);
    let listed = vault.list(None, 9);
    assert_eq!(listed[0].used_at, 9 * hour);
}

#[test]
fn a_file_that_is_too_large_is_not_kept() {
    let world = World::new();
    let vault = world.vault(MIB);
    assert!(!vault.wants("/a", Coding::Identity, 1, Some(MIB / 4 + 1)));
    assert!(vault.wants("/a", Coding::Identity, 1, Some(MIB / 4)));
    assert!(!vault.wants(&format!("/{}", "a".repeat(Key::TARGET_MAX)), Coding::Identity, 1, None));
    assert_eq!(vault.stats().rejected, [1, 0, 0, 0]);
}

#[test]
fn a_broken_file_is_dropped_and_never_found() {
    for damage in [cut_off as fn(&Path), flip_a_bit, empty] {
        let world = World::new();
        let vault = world.vault(MIB);
        world.put(&vault, asset("/a.js", b"some bytes", 1, 1));
        damage(&world.files()[0]);
        assert_eq!(body(&vault, "/a.js"), None);
        assert_eq!((vault.stats().corrupt, vault.stats().entries, world.files().len()), (1, 0, 0));
        assert!(vault.wants("/a.js", Coding::Identity, 1, None), "it may come back");
    }
}

#[test]
fn what_was_broken_while_nobody_looked_is_dropped_at_the_start() {
    let world = World::new();
    let vault = world.vault(MIB);
    world.put(&vault, asset("/a.js", b"some bytes", 1, 1));
    world.put(&vault, asset("/b.js", b"other bytes", 1, 1));
    let broken = file::name(&key("/a.js"));
    let dir = world.dir.path().join("assets/service-web");
    cut_off(&dir.join(&broken));
    // Under the name of another one.
    fs::copy(dir.join(file::name(&key("/b.js"))), dir.join(file::name(&key("/c.js")))).unwrap();
    fs::write(dir.join("0123.unfinished"), "half").unwrap();
    fs::write(dir.join("README"), "somebody's").unwrap();
    let world = world.restart();
    let vault = world.vault(MIB);
    assert_eq!((targets(&vault), vault.stats().corrupt), (vec!["/b.js".to_owned()], 2));
    assert_eq!((body(&vault, "/c.js"), world.files().len()), (None, 2));
}

#[test]
fn a_vault_is_listed_page_by_page() {
    let world = World::new();
    let vault = world.vault(MIB);
    for nth in 0..5 {
        world.put(&vault, asset(&format!("/{nth}"), b"x", 1, 1));
    }
    let page = |after, limit| {
        vault.list(after, limit).iter().map(|kept| kept.key.target.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(
        (page(None, 2), page(Some("/1"), 2), page(Some("/3x"), 9)),
        (vec!["/0".into(), "/1".into()], vec!["/2".into(), "/3".into()], vec!["/4".into()])
    );
}

#[test]
fn what_is_dropped_is_gone() {
    let world = World::new();
    let vault = world.vault(MIB);
    for target in ["/a.js?v=1", "/a.js?v=2", "/b.js", "/c.js"] {
        world.put(&vault, asset(target, b"x", 1, 1));
    }
    assert_eq!((vault.drop_assets(Some("/a.js")), vault.drop_assets(Some("/a.js"))), (2, 0));
    assert_eq!((vault.drop_assets(Some("/b.js")), vault.drop_assets(None)), (1, 1));
    assert_eq!((vault.stats().bytes, world.files().len()), (0, 0));
}

#[test]
fn services_do_not_see_each_other_whatever_they_are_called() {
    let world = World::new();
    for name in ["..", ".", "a/../b"] {
        let vault = world.vaults.of(name, MIB).unwrap();
        world.put(&vault, asset("/a", name.as_bytes(), 1, 1));
        assert_eq!(body(&vault, "/a").unwrap(), name.as_bytes());
    }
    assert_eq!(fs::read_dir(world.dir.path()).unwrap().count(), 1);
    assert_eq!(fs::read_dir(world.dir.path().join("assets")).unwrap().count(), 3);
}

#[test]
fn a_disk_that_can_not_be_written_costs_nothing_but_the_asset() {
    let world = World::new();
    fs::write(world.dir.path().join("assets"), "not a directory").unwrap();
    let vault = world.vault(MIB);
    world.put(&vault, asset("/a.js", b"x", 1, 1));
    assert_eq!((body(&vault, "/a.js"), vault.stats().rejected), (None, [0, 0, 0, 1]));
    fs::remove_file(world.dir.path().join("assets")).unwrap();
    assert!(vault.wants("/a.js", Coding::Identity, 1, None));
    world.put(&vault, asset("/a.js", b"x", 1, 1));
    assert!(body(&vault, "/a.js").is_some());
}

#[test]
fn where_there_is_no_directory_there_is_no_vault() {
    let vaults = Vaults::default();
    vaults.flush();
    assert!(vaults.of("web", MIB).is_none() && vaults.find("web").is_none() && vaults.stats().is_empty());
    let world = World::new();
    assert!(world.vaults.of("web", 0).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn it_never_takes_up_more_than_it_may_and_has_what_it_lists(
        puts in prop::collection::vec((0..12_u8, 1..80_000_usize, 1..4_u64), 1..40),
    ) {
        let world = World::new();
        let vault = world.vault(MIB / 2);
        for (at, (name, length, epoch)) in (0_u64..).zip(&puts) {
            world.put(&vault, asset(&format!("/{name}"), &vec![u8::try_from(*epoch).unwrap(); *length], *epoch, at));
            let on_disk: u64 = world.files().iter().map(|file| fs::metadata(file).unwrap().len()).sum();
            prop_assert!(on_disk <= vault.stats().bytes && vault.stats().bytes <= MIB / 2);
        }
        for kept in vault.list(None, 99) {
            let (found, _) = vault.find(&kept.key.target, ANY, 99).unwrap();
            prop_assert_eq!((found.body.len() as u64, found.epoch), (kept.body_len, kept.epoch));
        }
    }
}

fn cut_off(path: &Path) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_len(file.metadata().unwrap().len() - 1).unwrap();
}

fn flip_a_bit(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(path, bytes).unwrap();
}

fn empty(path: &Path) {
    fs::write(path, "").unwrap();
}
