//! The store, of which one process at a time has the file.

use std::sync::Arc;

use cutover_control::store::{Loaded, MemoryStore, OpenError, ReadError, RedbStore, Store};

use crate::config::{Config, StoreKind};

/// The store of this process. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) enum OpenStore {
    Memory(Arc<MemoryStore>),
    Embedded(Arc<RedbStore>),
}

impl OpenStore {
    /// Opens the configured one. `memory` is what the process before had in its, if that is where it was.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub(crate) fn open(config: &Config, memory: Option<Loaded>) -> Result<Self, OpenError> {
        Ok(match config.store {
            StoreKind::Memory => {
                Self::Memory(Arc::new(memory.map_or_else(MemoryStore::new, MemoryStore::of)))
            }
            StoreKind::Embedded => Self::Embedded(Arc::new(RedbStore::open(&config.node.state_dir)?)),
        })
    }

    /// As the control plane uses it.
    pub(crate) fn as_store(&self) -> Arc<dyn Store> {
        match self {
            Self::Memory(store) => Arc::clone(store) as Arc<dyn Store>,
            Self::Embedded(store) => Arc::clone(store) as Arc<dyn Store>,
        }
    }

    /// Its kind, for people.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Memory(_) => "memory",
            Self::Embedded(_) => "embedded",
        }
    }

    /// Lets go of the file; answers what is nowhere else.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub(super) async fn close(&self) -> Result<Option<Loaded>, ReadError> {
        match self {
            Self::Memory(store) => store.load().await.map(Some),
            Self::Embedded(store) => {
                store.close().await;
                Ok(None)
            }
        }
    }

    /// Takes the file again.
    pub(super) async fn reopen(&self) {
        match self {
            Self::Memory(_) => {}
            Self::Embedded(store) => store.reopen().await,
        }
    }
}
