//! The built dashboard that is committed was made of the sources that are committed.
#![expect(clippy::unwrap_used, reason = "the scenery of a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

/// Everything that decides what is built, as `dashboard/build/sealed.ts` has it.
const SOURCES: [&str; 7] =
    ["build", "index.html", "package-lock.json", "package.json", "src", "tsconfig.json", "vite.config.ts"];

#[test]
fn the_built_dashboard_is_fresh() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = here.join("../../dashboard");
    let mut now = BTreeMap::new();
    for source in SOURCES {
        hash(&sources, source, &mut now);
    }

    let sealed = fs::read_to_string(here.join("dashboard/sources.sha256")).unwrap();
    let built: BTreeMap<String, String> = sealed
        .lines()
        .map(|line| {
            let (hash, path) = line.split_once("  ").unwrap();
            (path.to_owned(), hash.to_owned())
        })
        .collect();

    let all: BTreeSet<&String> = now.keys().chain(built.keys()).collect();
    let changed: Vec<_> = all.into_iter().filter(|path| now.get(*path) != built.get(*path)).collect();
    assert!(changed.is_empty(), "run `make dashboard` and commit what it builds: these changed: {changed:?}");
    assert!(now.len() > 10, "the walk lost its way: {now:?}");
}

/// Notes the hash of the file at `path`, or of every file in that folder.
fn hash(root: &Path, path: &str, into: &mut BTreeMap<String, String>) {
    let at = root.join(path);
    if at.is_dir() {
        for entry in fs::read_dir(at).unwrap() {
            let name = entry.unwrap().file_name();
            hash(root, &format!("{path}/{}", name.to_str().unwrap()), into);
        }
        return;
    }
    let digest = Sha256::digest(fs::read(at).unwrap());
    let hex = digest.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    into.insert(path.to_owned(), hex);
}
