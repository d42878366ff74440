//! The records of services that are gone: one for each name, and one for all names that are not remembered any more.

use cutover_core::id::{Epoch, ServiceName};
use serde::{Deserialize, Serialize};

use super::Key;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DepartedRecord {
    epoch: u64,
}

/// The name of the record of those that are not remembered by their names.
pub(super) fn forgotten_key() -> Key {
    Key::new("departed")
}

/// The name of a service's record.
pub(super) fn key(name: &ServiceName) -> Key {
    forgotten_key().child(name.as_str())
}

impl DepartedRecord {
    pub(super) fn of(epoch: Epoch) -> Self {
        Self { epoch: epoch.0 }
    }

    pub(super) fn epoch(self) -> Epoch {
        Epoch(self.epoch)
    }
}
