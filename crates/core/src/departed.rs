//! Services that are gone, and the epochs in which they went: one that comes again goes on from there.

use std::collections::BTreeMap;

use crate::id::{Epoch, ServiceName};

/// Most names whose epochs are remembered one by one.
pub const DEPARTED_MAX: usize = 10_000;

/// What is remembered of services that are gone. Their pins are still out there, signed by the same keys, and a pin of a later epoch than
/// the service's is obeyed: a service that began anew in epoch 1 would obey all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Departed {
    /// The last epoch of each service that is gone and had an active version.
    pub epochs: BTreeMap<ServiceName, Epoch>,
    /// The last epoch of any service whose name is not remembered any more. 0 while all are.
    pub forgotten: Epoch,
}

impl Departed {
    /// The epoch from which a service of this name goes on; 0 if there never was one.
    #[must_use]
    pub fn epoch(&self, name: &ServiceName) -> Epoch {
        self.epochs.get(name).copied().unwrap_or(self.forgotten)
    }

    /// A service goes. The name with the lowest epoch makes room for it, if there are too many.
    pub fn leave(&mut self, name: &ServiceName, epoch: Epoch) {
        if epoch <= self.forgotten {
            return;
        }
        self.epochs.insert(name.clone(), epoch);
        while self.epochs.len() > DEPARTED_MAX {
            let Some(lowest) = self.epochs.values().min().copied() else { return };
            self.forgotten = self.forgotten.max(lowest);
            self.epochs.retain(|_, epoch| *epoch > lowest);
        }
    }

    /// A service of this name is there again and remembers its epoch itself.
    pub fn come(&mut self, name: &ServiceName) {
        self.epochs.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: usize) -> ServiceName {
        ServiceName::parse(&format!("s{number}")).unwrap()
    }

    #[test]
    fn names_beyond_the_limit_are_forgotten_and_their_epochs_are_not() {
        let mut departed = Departed::default();
        departed.leave(&name(0), Epoch(3));
        for number in 1..=DEPARTED_MAX {
            departed.leave(&name(number), Epoch(7));
        }
        assert_eq!(departed.epochs.len(), DEPARTED_MAX);
        assert_eq!((departed.epoch(&name(0)), departed.epoch(&name(1))), (Epoch(3), Epoch(7)));
        departed.leave(&name(DEPARTED_MAX + 1), Epoch(9));
        assert_eq!((departed.epochs.len(), departed.epoch(&name(1))), (1, Epoch(7)));
    }

    #[test]
    fn a_name_that_was_never_used_begins_with_nothing() {
        let mut departed = Departed::default();
        departed.leave(&name(1), Epoch(3));
        departed.leave(&name(2), Epoch(0));
        assert_eq!((departed.epoch(&name(0)), departed.epochs.len()), (Epoch(0), 1));
    }
}
