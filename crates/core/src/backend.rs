//! One backend and its three axes: what the operator wants, whether it answers, and which version it runs.

use std::collections::BTreeMap;
use std::fmt;

use crate::address::Address;
use crate::id::{BackendId, VersionLabel};
use crate::policy::IdentitySource;
use crate::schema::SchemaRange;
use crate::time::{Millis, Timestamp};

/// One address that serves a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// Its name.
    pub id: BackendId,
    /// Where it listens.
    pub address: Address,
    /// Its share of the version's traffic, relative to the others, as it was registered.
    pub registered_weight: Weight,
    /// The same as an operator set it; wins over the registered one.
    pub patched_weight: Option<Weight>,
    /// The version it was registered with.
    pub label: Option<VersionLabel>,
    /// The version it was last known to run. Not believed while the identity is unknown.
    pub version: Option<VersionLabel>,
    /// What the operator wants.
    pub admin: Admin,
    /// Whether it answers.
    pub operational: Operational,
    /// Which version it runs.
    pub identity: Identity,
    /// Whether a real answer told the version and no health answer has confirmed it yet.
    pub is_sighted: bool,
    /// Grows whenever the process may have been replaced; connections opened under an older one are not used. Never one that a backend
    /// of the same name had before.
    pub generation: u32,
    /// Who keeps it registered.
    pub origin: Origin,
    /// What it said about its process.
    pub boot_id: Option<String>,
    /// Where it runs, as it says.
    pub zone: Option<String>,
    /// The schemas with which it can work, as it says.
    pub schema: SchemaRange,
    /// What its owner wants to remember.
    pub metadata: BTreeMap<String, String>,
    /// When it was registered.
    pub registered_at: Timestamp,
    /// Set while it deregisters: it goes when nothing is in flight, at this time at the latest.
    pub leaving: Option<Timestamp>,
    /// Ejection by live traffic.
    pub ejection: Ejection,
}

/// A weight from 1 to 1000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Weight(u16);

impl Weight {
    /// The weight of a backend that names none.
    pub const ONE: Self = Self(1);
    /// The largest weight. A ratio of 1 to 1000 is beyond what any balancer can honour exactly.
    pub const MAX: Self = Self(1000);

    /// A weight, if it is from 1 to 1000.
    #[must_use]
    pub fn new(value: u64) -> Option<Self> {
        u16::try_from(value).ok().map(Self).filter(|weight| (Self::ONE..=Self::MAX).contains(weight))
    }

    /// The number.
    #[must_use]
    pub const fn value(self) -> u16 {
        self.0
    }
}

/// What the operator wants of a backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// The state.
    pub state: AdminState,
    /// Who set it; empty while nobody did.
    pub by: String,
    /// Since when; zero while nobody set it.
    pub since: Timestamp,
}

impl Admin {
    /// What nobody set: it takes traffic.
    #[must_use]
    pub const fn ready() -> Self {
        Self { state: AdminState::Ready, by: String::new(), since: Timestamp(0) }
    }
}

/// The admin axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminState {
    /// Takes traffic.
    Ready,
    /// Finishes what it has; only sessions tied to this very backend still reach it.
    Drain,
    /// Takes nothing.
    Maint,
}

/// The operational axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operational {
    /// Not probed often enough to tell.
    Starting,
    /// Answers, since then.
    Up(Timestamp),
    /// Does not answer, since then.
    Down(Timestamp),
}

/// The identity axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// The process may have been replaced since it was last asked.
    Unknown,
    /// Runs [`Backend::version`].
    Known,
    /// Its health answer contradicts its real answers, since then: two processes answer there, or one that does not know its version.
    /// [`Backend::version`] is what the real answers named.
    Mismatch(Timestamp),
}

/// Who keeps a backend registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The configuration file; no lease.
    Config,
    /// Itself, over the admin API.
    Registered(Option<Lease>),
}

/// A registration that must be renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Length of a renewal.
    pub ttl: Millis,
    /// When the backend is removed unless it renews before.
    pub expires_at: Timestamp,
}

/// Ejection by live traffic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ejection {
    /// Ejections in a row.
    pub times: u32,
    /// Until when, while ejected.
    pub until: Option<Timestamp>,
    /// When the last one ended.
    pub ended_at: Timestamp,
}

impl Backend {
    /// Its share of the version's traffic, relative to the others.
    #[must_use]
    pub fn weight(&self) -> Weight {
        self.patched_weight.unwrap_or(self.registered_weight)
    }

    /// Whether user traffic may be sent to it: `ready`, `up`, identity `known`, not ejected and not leaving.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.admin.state == AdminState::Ready && self.is_able()
    }

    /// Whether it could serve if the operator wanted it to: like [`is_usable`](Self::is_usable) without the admin axis.
    #[must_use]
    pub fn is_able(&self) -> bool {
        matches!(self.operational, Operational::Up(_))
            && self.identity == Identity::Known
            && self.ejection.until.is_none()
            && self.leaving.is_none()
    }

    /// Whether nobody can tell yet if it will be usable: the operator wants it, and its probes have not answered so far.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        let is_untold = matches!(self.operational, Operational::Starting)
            || (self.identity != Identity::Known && !matches!(self.operational, Operational::Down(_)));
        self.admin.state == AdminState::Ready && self.leaving.is_none() && is_untold
    }

    /// Forgets everything that was believed about the process: it may have been replaced.
    pub fn forget_process(&mut self) {
        self.operational = Operational::Starting;
        self.lose_identity();
    }

    /// Makes the identity unknown and starts a new generation, so that older connections are not used.
    pub fn lose_identity(&mut self) {
        self.identity = Identity::Unknown;
        self.is_sighted = false;
        self.generation += 1;
    }

    /// Whether requests may be on their way to it because of what is believed about its process.
    #[must_use]
    pub fn is_believed(&self) -> bool {
        self.identity == Identity::Known && matches!(self.operational, Operational::Up(_))
    }

    /// The version that a health answer tells, given the source that counts: the one it names, else what is known without it.
    #[must_use]
    pub fn told<'a>(
        &'a self,
        source: IdentitySource,
        named: Option<&'a VersionLabel>,
    ) -> Option<&'a VersionLabel> {
        match source {
            IdentitySource::Label => self.label.as_ref(),
            IdentitySource::Health => named.or(self.label.as_ref()),
            // What real answers named is worth more than the label, which stays as it was registered.
            IdentitySource::Response => named.or(self.version.as_ref()),
        }
    }

    /// Whether an answer that tells this version and names this process comes from another process than the known one. What is not known
    /// tells nothing.
    #[must_use]
    pub fn is_another(&self, version: Option<&VersionLabel>, boot_id: Option<&str>) -> bool {
        let is_other_version =
            version.is_some_and(|version| self.version.as_ref().is_some_and(|known| known != version));
        is_other_version || self.is_other_boot(boot_id)
    }

    /// Whether this names another process than the known one.
    #[must_use]
    pub fn is_other_boot(&self, boot_id: Option<&str>) -> bool {
        boot_id.is_some_and(|boot_id| self.boot_id.as_deref().is_some_and(|known| known != boot_id))
    }
}

impl AdminState {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Drain => "drain",
            Self::Maint => "maint",
        }
    }
}

impl Operational {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Up(_) => "up",
            Self::Down(_) => "down",
        }
    }
}

impl Identity {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Known => "known",
            Self::Mismatch(_) => "mismatch",
        }
    }
}

macro_rules! display_as_str {
    ($($type:ty),*) => {$(
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    )*};
}
display_as_str!(AdminState, Operational, Identity);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_is_from_1_to_1000() {
        assert_eq!(
            [0, 1, 1000, 1001, 65_537].map(|value| Weight::new(value).is_some()),
            [false, true, true, false, false]
        );
    }
}
