//! The thread that writes: one for all vaults, because there is one disk.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};

use crate::asset::{Asset, Key};
use crate::memory::Room;
use crate::vault::Vault;

/// What it is asked to do.
#[derive(Debug)]
pub(crate) enum Job {
    /// Take up what is on disk.
    Load(Arc<Vault>),
    /// Write an asset, which is known by a hash and takes up room in memory until then.
    Store(Arc<Vault>, Box<Asset>, u64, Room),
    /// Write down when an asset was used.
    Used(Arc<Vault>, Key, u64),
    /// Drop what is too much.
    Shrink(Arc<Vault>),
    /// Say that everything before it is done.
    Tell(Sender<()>),
}

/// Does what it is asked to until nobody can ask any more.
pub(crate) fn keep(jobs: &Receiver<Job>) {
    while let Ok(job) = jobs.recv() {
        match job {
            Job::Load(vault) => vault.load(),
            Job::Store(vault, asset, hash, room) => {
                vault.load();
                vault.store(&asset, hash);
                drop((asset, room));
            }
            Job::Used(vault, key, at) => vault.write_use(&key, at),
            Job::Shrink(vault) => vault.shrink(),
            // Who asked may have gone.
            Job::Tell(done) => drop(done.send(())),
        }
    }
}
