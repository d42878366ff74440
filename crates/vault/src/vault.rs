//! The vault of one service.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::asset::{Asset, Coding, Key};
use crate::counts::{Counts, Rejected, Stats};
use crate::dir::{Dir, Found};
use crate::file;
use crate::index::{Index, Kept};
use crate::keeper::Job;
use crate::known::Known;
use crate::memory::{Memory, Room};

/// Bytes of the body of one asset. What is larger is no part of a page that waits for it.
pub const ASSET_MAX: u64 = 8 << 20;
/// Assets of one vault, whatever its size: each is in memory with its name.
const ENTRIES_MAX: usize = 1 << 16;
/// How much later a use has to be than the last one to be written down on disk, in milliseconds. It only says what goes first.
const USED_EVERY: u64 = 3600 * 1000;

/// Immutable assets of one service, on disk. Shared by all who see the service.
#[derive(Debug)]
pub struct Vault {
    service: String,
    dir: Dir,
    /// Bytes that it may take up on disk.
    size: AtomicU64,
    known: Known,
    memory: Memory,
    counts: Counts,
    jobs: SyncSender<Job>,
    /// Never locked by a worker. Files are written and removed by the keeper alone, and by who holds it.
    index: Mutex<Index>,
    /// Whether the last asset could not be written.
    is_failing: AtomicBool,
}

impl Vault {
    pub(crate) fn new(
        service: &str,
        path: PathBuf,
        size: u64,
        memory: Memory,
        jobs: SyncSender<Job>,
    ) -> Arc<Self> {
        Arc::new(Self {
            service: service.to_owned(),
            dir: Dir::new(path),
            size: AtomicU64::new(size),
            known: Known::default(),
            memory,
            counts: Counts::default(),
            jobs,
            index: Mutex::default(),
            is_failing: AtomicBool::new(false),
        })
    }

    /// Whether an answer is worth a copy: it was not seen in this epoch, and its body, of `length` bytes if that is known, is not too
    /// large. Takes no lock.
    pub fn wants(&self, target: &str, coding: Coding, epoch: u64, length: Option<u64>) -> bool {
        if target.len() > Key::TARGET_MAX || self.known.has(self.known.hash(target, coding, epoch)) {
            return false;
        }
        if length.is_some_and(|length| length > self.asset_max()) {
            self.reject(Rejected::TooLarge);
            return false;
        }
        true
    }

    /// Bytes of the body of one asset: no file may push out most of the others.
    pub fn asset_max(&self) -> u64 {
        ASSET_MAX.min(self.size.load(Relaxed) / 4)
    }

    /// Room in memory for so many bytes, which can grow.
    #[must_use]
    pub fn reserve(&self, bytes: u64) -> Option<Room> {
        self.memory.take(bytes)
    }

    /// Counts an asset that was not stored.
    pub fn reject(&self, why: Rejected) {
        self.counts.rejected(why);
    }

    /// Lets an asset be stored, without waiting for it.
    pub fn put(self: &Arc<Self>, asset: Asset, room: Room) {
        let hash = self.known.hash(&asset.key.target, asset.key.coding, asset.epoch);
        self.known.add(hash);
        if self.jobs.try_send(Job::Store(Arc::clone(self), Box::new(asset), hash, room)).is_err() {
            self.known.forget(hash);
            self.reject(Rejected::Busy);
        }
    }

    /// Finds an asset in a coding that is `accepted`, the best one first, and the room that it takes up. Reads from the disk, and takes
    /// note that it was used at `now`. A file that is not what was written is dropped.
    pub fn find(self: &Arc<Self>, target: &str, accepted: &[Coding], now: u64) -> Option<(Asset, Room)> {
        if target.len() > Key::TARGET_MAX {
            return None;
        }
        let target: Arc<str> = Arc::from(target);
        for &coding in accepted {
            let key = Key { target: Arc::clone(&target), coding };
            let Some((mut opened, length)) = self.dir.open(&key) else { continue };
            let room = self.reserve(length.min(2 * ASSET_MAX))?;
            match file::read(&mut opened, length, ASSET_MAX) {
                Ok(head) if head.asset.key == key => {
                    self.use_at(&key, now);
                    return Some((head.asset, room));
                }
                Ok(_) => self.drop_broken(&file::name(&key), Some(&key), &file::Broken::Format),
                Err(broken) => self.drop_broken(&file::name(&key), Some(&key), &broken),
            }
        }
        None
    }

    /// About `limit` assets in the order of their paths, from the first whose path with query is behind `after`.
    pub fn list(&self, after: Option<&str>, limit: usize) -> Vec<Kept> {
        self.index().list(after, limit)
    }

    /// Drops the assets with this path, or this path and query; all of them, if none is given. Answers how many there were.
    pub fn drop_assets(&self, target: Option<&str>) -> u64 {
        let mut index = self.index();
        let named = index.named(target);
        for key in &named {
            self.drop_one(&mut index, key);
        }
        self.count(&index);
        named.len() as u64
    }

    /// What it holds, and what happened to it.
    pub fn stats(&self) -> Stats {
        self.counts.read()
    }

    /// Whether everything is known that was on disk when the process began.
    pub fn is_complete(&self) -> bool {
        self.index().is_complete
    }

    /// Bytes that it may take up on disk.
    pub fn size(&self) -> u64 {
        self.size.load(Relaxed)
    }

    /// Gives it another size. What is too much goes soon.
    pub(crate) fn resize(self: &Arc<Self>, size: u64) {
        if self.size.swap(size, Relaxed) > size {
            // When the queue is full, what is stored next makes room as well.
            let _ = self.jobs.try_send(Job::Shrink(Arc::clone(self)));
        }
    }

    /// Takes up what is on disk, once.
    pub(crate) fn load(&self) {
        if self.is_complete() {
            return;
        }
        let mut found = 0_u64;
        let scanned = self.dir.scan(|file| match file {
            // One at a time, so that nobody waits for all.
            Found::Asset(head, used_at) => {
                found += 1;
                self.index().add(&head, used_at);
            }
            Found::Broken(name, broken) => self.drop_broken(&name, None, &broken),
        });
        if let Err(error) = scanned {
            let path = self.dir.path().display();
            tracing::warn!(service = self.service, %path, %error, "the asset vault can't be read");
        }
        let mut index = self.index();
        index.is_complete = true;
        self.make_room(&mut index);
        if found > 0 {
            tracing::info!(service = self.service, assets = found, "the asset vault is there");
        }
    }

    /// Writes an asset, unless it is there already, or a later version has another one.
    pub(crate) fn store(&self, asset: &Asset, hash: u64) {
        let body_sum = file::sum(&asset.body);
        let before = self.index().get(&asset.key).map(|kept| (kept.body_sum, kept.epoch));
        match before {
            Some((sum, _)) if sum == body_sum => return self.seen_again(&asset.key, asset.stored_at, hash),
            Some((_, epoch)) if epoch > asset.epoch => return self.reject(Rejected::Older),
            Some(_) | None => {}
        }
        let written = self.dir.write(asset, &body_sum);
        let is_failing = written.is_err();
        let was_failing = self.is_failing.swap(is_failing, Relaxed);
        let file_len = match written {
            Ok(file_len) => file_len,
            Err(error) => {
                self.known.forget(hash);
                self.reject(Rejected::Failed);
                if !was_failing {
                    let path = self.dir.path().display();
                    tracing::warn!(service = self.service, %path, %error, "the asset vault can't be written");
                }
                return;
            }
        };
        if was_failing {
            tracing::info!(service = self.service, "the asset vault can be written again");
        }
        let body_len = asset.body.len() as u64;
        let head =
            file::Head { asset: Asset { body: Vec::new(), ..asset.clone() }, body_len, body_sum, file_len };
        let mut index = self.index();
        index.add(&head, asset.stored_at);
        index.used(&asset.key, asset.stored_at, Some(hash));
        self.counts.stored();
        self.make_room(&mut index);
    }

    /// Drops what is too much, the longest unused first.
    pub(crate) fn shrink(&self) {
        let mut index = self.index();
        self.make_room(&mut index);
    }

    /// Writes down when an asset was used.
    pub(crate) fn write_use(&self, key: &Key, at: u64) {
        // One that is gone meanwhile has no use, and one that can't be written goes earlier than it should.
        let _ = self.dir.used(key, at);
    }

    fn seen_again(&self, key: &Key, at: u64, hash: u64) {
        self.index().used(key, at, Some(hash));
        self.write_use(key, at);
    }

    fn use_at(self: &Arc<Self>, key: &Key, now: u64) {
        let mut index = self.index();
        let before = index.get(key).map(|kept| kept.used_at);
        index.used(key, now, None);
        drop(index);
        if before.is_some_and(|before| now.saturating_sub(before) >= USED_EVERY) {
            // When the queue is full, the disk has better things to do.
            let _ = self.jobs.try_send(Job::Used(Arc::clone(self), key.clone(), now));
        }
    }

    fn make_room(&self, index: &mut Index) {
        let size = self.size();
        while index.bytes() > size || index.len() > ENTRIES_MAX {
            let Some(oldest) = index.oldest().cloned() else { break };
            self.drop_one(index, &oldest);
            self.counts.evicted();
        }
        self.count(index);
    }

    fn drop_one(&self, index: &mut Index, key: &Key) {
        if let Err(error) = self.dir.remove(key) {
            let path = self.dir.path().display();
            tracing::warn!(service = self.service, %path, asset = %key.target, %error, "an asset can't be removed");
        }
        if let Some(kept) = index.remove(key) {
            kept.hashes.iter().for_each(|&hash| self.known.forget(hash));
        }
    }

    /// A file is not what was written: nobody gets it.
    fn drop_broken(&self, name: &str, key: Option<&Key>, broken: &file::Broken) {
        let mut index = self.index();
        if let Some(key) = key
            && let Some((mut opened, length)) = self.dir.open(key)
            && file::read(&mut opened, length, ASSET_MAX).is_ok_and(|head| head.asset.key == *key)
        {
            // It was written anew meanwhile.
            return;
        }
        let asset = key.map_or("", |key| &key.target);
        tracing::warn!(service = self.service, file = name, asset, error = %broken, "a file of the asset vault is broken and dropped");
        self.counts.corrupt();
        if let Err(error) = self.dir.remove_named(name) {
            tracing::warn!(service = self.service, file = name, %error, "a broken file can't be removed");
        }
        if let Some(kept) = key.and_then(|key| index.remove(key)) {
            kept.hashes.iter().for_each(|&hash| self.known.forget(hash));
        } else {
            // Nobody knows what it was.
            self.known.forget_all();
        }
        self.count(&index);
    }

    fn count(&self, index: &Index) {
        self.counts.holds(index.bytes(), index.len() as u64);
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
