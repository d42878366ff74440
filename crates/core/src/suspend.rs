//! What people suspend for a while: the flips of a service (a freeze), or the service itself (maintenance).

use crate::rejected::{Code, Rejected};
use crate::service::Service;
use crate::time::Timestamp;

/// What can be suspended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suspended {
    /// Flips, unless they are forced: a freeze.
    Flips,
    /// Answers of the app, to everybody: maintenance.
    Requests,
}

/// Somebody suspended something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspension {
    /// Why; empty when nobody said.
    pub reason: String,
    /// Until when; `None` = until somebody ends it.
    pub until: Option<Timestamp>,
    /// Who did.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

impl Suspended {
    /// All that there are.
    pub const ALL: [Self; 2] = [Self::Flips, Self::Requests];

    /// Its suspension, if it is suspended.
    #[must_use]
    pub const fn of(self, service: &Service) -> Option<&Suspension> {
        match self {
            Self::Flips => service.freeze.as_ref(),
            Self::Requests => service.maintenance.as_ref(),
        }
    }

    /// Why it can't be resumed when it is not suspended.
    #[must_use]
    pub const fn not_suspended(self) -> Code {
        match self {
            Self::Flips => Code::NotFrozen,
            Self::Requests => Code::NotInMaintenance,
        }
    }

    const fn of_mut(self, service: &mut Service) -> &mut Option<Suspension> {
        match self {
            Self::Flips => &mut service.freeze,
            Self::Requests => &mut service.maintenance,
        }
    }
}

impl Suspension {
    fn has_ended(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

/// Suspends it, instead of an earlier suspension.
pub(crate) fn suspend(service: &mut Service, what: Suspended, suspension: Suspension) {
    *what.of_mut(service) = Some(suspension);
}

pub(crate) fn resume(service: &mut Service, what: Suspended) -> Result<(), Rejected> {
    match what.of_mut(service).take() {
        Some(_) => Ok(()),
        None => {
            let state = match what {
                Suspended::Flips => "frozen",
                Suspended::Requests => "in maintenance",
            };
            Err(Rejected::because(what.not_suspended(), format!("{} is not {state}", service.name)))
        }
    }
}

/// Whether a suspension has come to its end.
pub(crate) fn is_due(service: &Service, now: Timestamp) -> bool {
    Suspended::ALL.iter().any(|what| what.of(service).is_some_and(|suspension| suspension.has_ended(now)))
}

/// Ends those that have come to their end.
pub(crate) fn lapse(service: &mut Service, now: Timestamp) {
    for what in Suspended::ALL {
        what.of_mut(service).take_if(|suspension| suspension.has_ended(now));
    }
}
