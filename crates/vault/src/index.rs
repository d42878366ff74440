//! What a vault has, in the order of paths and in the order of use.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use crate::asset::{Coding, Key};
use crate::file::Head;

/// Bytes that a file takes up at least, and a multiple of which it always does.
const BLOCK: u64 = 4096;
/// Assets that are known under one name: versions that had the same file. More are forgotten, which costs a copy.
const HASHES_MAX: usize = 8;

/// An asset that is kept, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// By what it is found.
    pub key: Key,
    /// Bytes on disk.
    pub size: u64,
    /// Bytes of the body.
    pub body_len: u64,
    /// What it is: its `Content-Type`.
    pub content_type: String,
    /// The version that answered with it.
    pub version: String,
    /// The last epoch in which that version was active; 0 = it never was.
    pub epoch: u64,
    /// When it was seen: milliseconds since 1970.
    pub stored_at: u64,
    /// When it was served last, or stored.
    pub used_at: u64,
    pub(crate) body_sum: [u8; 32],
    /// By what it is known.
    pub(crate) hashes: Vec<u64>,
    turn: u64,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Index {
    kept: BTreeMap<Key, Kept>,
    by_use: BTreeMap<(u64, u64), Key>,
    bytes: u64,
    turns: u64,
    /// Whether everything on disk is in it.
    pub(crate) is_complete: bool,
}

impl Index {
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn len(&self) -> usize {
        self.kept.len()
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Kept> {
        self.kept.get(key)
    }

    /// Adds the asset of a file, in place of the one with its key.
    pub(crate) fn add(&mut self, head: &Head, used_at: u64) {
        let asset = &head.asset;
        let content_type = asset.field("content-type").map(String::from_utf8_lossy).unwrap_or_default();
        let hashes = self.remove(&asset.key).map_or_else(Vec::new, |old| old.hashes);
        self.turns += 1;
        let kept = Kept {
            key: asset.key.clone(),
            size: head.file_len.next_multiple_of(BLOCK),
            body_len: head.body_len,
            content_type: content_type.into_owned(),
            version: asset.version.clone(),
            epoch: asset.epoch,
            stored_at: asset.stored_at,
            used_at,
            body_sum: head.body_sum,
            hashes,
            turn: self.turns,
        };
        self.bytes += kept.size;
        self.by_use.insert((used_at, kept.turn), kept.key.clone());
        self.kept.insert(kept.key.clone(), kept);
    }

    /// The asset was used, and is known by this hash too. Answers whether it is there.
    pub(crate) fn used(&mut self, key: &Key, at: u64, hash: Option<u64>) -> bool {
        let Some(kept) = self.kept.get_mut(key) else { return false };
        if kept.used_at < at {
            self.by_use.remove(&(kept.used_at, kept.turn));
            kept.used_at = at;
            self.by_use.insert((at, kept.turn), key.clone());
        }
        if let Some(hash) = hash.filter(|hash| !kept.hashes.contains(hash)) {
            kept.hashes.truncate(HASHES_MAX - 1);
            kept.hashes.push(hash);
        }
        true
    }

    pub(crate) fn remove(&mut self, key: &Key) -> Option<Kept> {
        let kept = self.kept.remove(key)?;
        self.by_use.remove(&(kept.used_at, kept.turn));
        self.bytes -= kept.size;
        Some(kept)
    }

    /// The one that was not used for the longest time.
    pub(crate) fn oldest(&self) -> Option<&Key> {
        self.by_use.values().next()
    }

    /// About `limit` of them in the order of their paths, from the first behind `after`. All codings of one path are together.
    pub(crate) fn list(&self, after: Option<&str>, limit: usize) -> Vec<Kept> {
        let last = Coding::ALL[Coding::ALL.len() - 1];
        let from = after.map_or(Bound::Unbounded, |after| {
            Bound::Excluded(Key { target: Arc::from(after), coding: last })
        });
        let mut listed: Vec<Kept> = Vec::new();
        for (key, kept) in self.kept.range((from, Bound::Unbounded)) {
            if listed.len() >= limit && listed.last().is_some_and(|last| last.key.target != key.target) {
                break;
            }
            listed.push(kept.clone());
        }
        listed
    }

    /// Those with this path, whatever their query, or this path and query; all, if none is given.
    pub(crate) fn named(&self, target: Option<&str>) -> Vec<Key> {
        let is_named = |key: &&Key| {
            target.is_none_or(|target| {
                *key.target == *target || key.target.split_once('?').is_some_and(|(path, _)| path == target)
            })
        };
        self.kept.keys().filter(is_named).cloned().collect()
    }
}
