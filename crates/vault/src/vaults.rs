//! The vaults of all services, below one directory.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use crate::counts::Stats;
use crate::keeper::{Job, keep};
use crate::memory::Memory;
use crate::vault::Vault;

/// Jobs that wait for the keeper. What finds no place is not stored, and counted.
const JOBS_MAX: usize = 256;

/// Where vaults are made and found. Without a directory there are none.
#[derive(Debug, Default)]
pub struct Vaults(Option<Root>);

#[derive(Debug)]
struct Root {
    path: PathBuf,
    memory: Memory,
    jobs: SyncSender<Job>,
    /// Locked when a snapshot or an operator comes, never by a request.
    open: Mutex<BTreeMap<String, Arc<Vault>>>,
}

/// The keeper's thread can't be started.
#[derive(Debug, thiserror::Error)]
#[error("can't start the thread that keeps assets")]
pub struct StartError(#[source] io::Error);

impl Vaults {
    /// Keeps vaults below `path`, which need not be there. Nothing is read yet.
    ///
    /// # Errors
    /// The system has no thread.
    pub fn start(path: PathBuf) -> Result<Self, StartError> {
        let (jobs, waiting) = sync_channel(JOBS_MAX);
        std::thread::Builder::new()
            .name("asset-vault".to_owned())
            .spawn(move || keep(&waiting))
            .map_err(StartError)?;
        Ok(Self(Some(Root { path, memory: Memory::default(), jobs, open: Mutex::default() })))
    }

    /// The vault of a service, of `size` bytes from now on; `None` where it has none. What is on disk of it is read in the background: until
    /// then it is served, and not listed.
    #[must_use]
    pub fn of(&self, service: &str, size: u64) -> Option<Arc<Vault>> {
        let root = self.0.as_ref().filter(|_| size > 0)?;
        let mut open = root.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(vault) = open.get(service) {
            vault.resize(size);
            return Some(Arc::clone(vault));
        }
        let path = root.path.join(dir_name(service));
        let vault = Vault::new(service, path, size, root.memory.clone(), root.jobs.clone());
        // When the queue is full, it is read before the first asset is written.
        let _ = root.jobs.try_send(Job::Load(Arc::clone(&vault)));
        open.insert(service.to_owned(), Arc::clone(&vault));
        Some(vault)
    }

    /// The vault of a service, if it was [made](Self::of) since the process began.
    #[must_use]
    pub fn find(&self, service: &str) -> Option<Arc<Vault>> {
        let open = self.0.as_ref()?.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(service).cloned()
    }

    /// What all of them hold, with the names of their services.
    #[must_use]
    pub fn stats(&self) -> Vec<(String, Stats)> {
        let Some(root) = &self.0 else { return Vec::new() };
        let open = root.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.iter().map(|(service, vault)| (service.clone(), vault.stats())).collect()
    }

    /// Waits until everything that was asked for so far is on disk.
    pub fn flush(&self) {
        let Some(root) = &self.0 else { return };
        let (done, is_done) = channel();
        if root.jobs.send(Job::Tell(done)).is_ok() {
            // It fails when the keeper is gone, and nothing is left to wait for.
            let _ = is_done.recv();
        }
    }
}

/// The directory of a service. Names of services have only letters, digits, `.`, `_` and `-`, but could be `..`.
fn dir_name(service: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let plain: String = service.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    format!("service-{plain}")
}

#[cfg(test)]
mod tests;
