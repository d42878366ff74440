//! What the data plane sees: an immutable picture of all services, made for reading.

use std::sync::Arc;

use crate::address::Address;
use crate::id::{BackendId, Epoch, ServiceName, VersionLabel};
use crate::pin::PinKey;
use crate::policy::{Policy, Share};
use crate::report::{BackendFacts, Load, Traffic};
use crate::route::{Found, RouteTable};
use crate::service::Service;
use crate::time::Timestamp;
use crate::traffic::{BackendTraffic, VersionTraffic};
use crate::version::Role;

/// One picture of everything that requests need. Reading it takes no lock; nothing in it changes but the traffic cells.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Grows by one with every published snapshot of this process.
    pub generation: u64,
    /// The services, in the order of their names. A service's place may differ from snapshot to snapshot.
    pub services: Vec<Arc<ServiceSet>>,
    /// Keys that sign pins, oldest first.
    pub pin_keys: Arc<[PinKey]>,
    pub(crate) routes: Arc<RouteTable>,
    /// What each of `services` was compiled from.
    pub(crate) sources: Vec<Arc<Service>>,
}

/// One service, as requests see it.
#[derive(Debug)]
pub struct ServiceSet {
    /// Its name.
    pub name: ServiceName,
    /// Its policy.
    pub policy: Arc<Policy>,
    /// The epoch in which `active` became active, or took sessions of a canary back.
    pub epoch: Epoch,
    /// The place of the active version in `versions`.
    pub active: Option<usize>,
    /// The version that gets a share of the new sessions.
    pub canary: Option<CanarySet>,
    /// All versions that are known, live or not.
    pub versions: Vec<Arc<VersionSet>>,
    /// All backends, usable or not, in the order of their names.
    pub backends: Vec<Arc<BackendEntry>>,
    /// Whether requests are answered with 503, whatever its backends do.
    pub maintenance: Option<Maintenance>,
}

/// A version that gets a share of the new sessions, as requests see it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CanarySet {
    /// Its place in [`ServiceSet::versions`].
    pub version: usize,
    /// Its share.
    pub share: Share,
}

/// A service is closed to its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Maintenance {
    /// Until when, as far as anybody has said.
    pub until: Option<Timestamp>,
}

/// One version, as requests see it.
#[derive(Debug)]
pub struct VersionSet {
    /// The label.
    pub label: VersionLabel,
    /// The hash by which pins name it.
    pub hash: u64,
    /// The part it plays.
    pub role: Role,
    /// The last epoch in which it was active.
    pub epoch: Option<Epoch>,
    /// From when to when its pins are evicted, while it drains.
    pub eviction: Option<(Timestamp, Timestamp)>,
    /// Whether it admits nobody any more although it still drains.
    pub is_sealed: bool,
    /// Whether people who try it out are served by it, as [`preview::is_possible`](crate::preview::is_possible) says.
    pub is_previewable: bool,
    /// Whether some of its backends can't be told usable or not yet, because probes have not answered so far.
    pub is_pending: bool,
    /// Its backends that may be sent to: the first `ready` of them take any request, the others only sessions tied to them.
    pub members: Vec<Arc<BackendEntry>>,
    /// How many of `members` take any request.
    pub ready: usize,
    /// Weights of the ready members, each added to those before it.
    pub(crate) cumulative: Vec<u32>,
    /// Turns of round robin, as places in `members`.
    pub(crate) turns: Vec<u16>,
    /// Its cells.
    pub traffic: Arc<VersionTraffic>,
}

/// One backend, as requests see it.
#[derive(Debug)]
pub struct BackendEntry {
    /// Its name.
    pub id: BackendId,
    /// The hash by which pins name it.
    pub hash: u64,
    /// Where it listens.
    pub address: Address,
    /// Its share of its version's traffic.
    pub weight: u16,
    /// The process that is meant. Connections opened under an older generation are not used.
    pub generation: u32,
    /// Since when it answers, while it does.
    pub up_since: Option<Timestamp>,
    /// From when to when the sessions and tunnels that are tied to it are evicted, while it is being taken out.
    pub eviction: Option<(Timestamp, Timestamp)>,
    /// Its cells.
    pub traffic: Arc<BackendTraffic>,
}

impl Snapshot {
    /// The route for `host` (without port) and `path`.
    #[must_use]
    pub fn route(&self, host: &str, path: impl AsRef<[u8]>) -> Option<Found> {
        self.routes.find(host, path)
    }

    /// The service of this name.
    #[must_use]
    pub fn service(&self, name: &ServiceName) -> Option<&Arc<ServiceSet>> {
        Some(&self.services[self.place(name)?])
    }

    /// The place of the service of this name.
    #[must_use]
    pub fn place(&self, name: &ServiceName) -> Option<usize> {
        self.services.binary_search_by(|service| service.name.cmp(name)).ok()
    }

    /// Whether requests would be served alike by `other`.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.services.len() == other.services.len()
            && self.services.iter().zip(&other.services).all(|(a, b)| Arc::ptr_eq(a, b))
            && Arc::ptr_eq(&self.routes, &other.routes)
            && self.pin_keys == other.pin_keys
    }

    /// What the data plane reported through the cells and the control plane may have to act on: loads of versions that
    /// leave, and what is notable about backends.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        let mut traffic = Traffic::default();
        for (service, source) in self.services.iter().zip(&self.sources) {
            let leaving = service
                .versions
                .iter()
                .filter(|version| matches!(version.role, Role::Draining | Role::Rejected));
            for version in leaving {
                traffic.loads.insert((service.name.clone(), version.label.clone()), version.load());
            }
            for (entry, backend) in service.backends.iter().zip(source.backends.values()) {
                let facts = entry.facts();
                let is_awaited = backend.leaving.is_some() || source.roll.is_emptying(&backend.id);
                if facts.is_notable(entry.generation) || is_awaited {
                    traffic.backends.insert((service.name.clone(), entry.id.clone()), facts);
                }
            }
        }
        traffic
    }
}

impl ServiceSet {
    /// The active version.
    #[must_use]
    pub fn active_version(&self) -> Option<&Arc<VersionSet>> {
        self.versions.get(self.active?)
    }

    /// The version with this label.
    #[must_use]
    pub fn version(&self, label: &str) -> Option<&Arc<VersionSet>> {
        self.versions.iter().find(|version| version.label.as_str() == label)
    }
}

impl VersionSet {
    /// What its cells say.
    #[must_use]
    pub fn load(&self) -> Load {
        self.traffic.load()
    }

    /// Whether sessions pinned to it are served by it.
    #[must_use]
    pub const fn serves_pins(&self) -> bool {
        matches!(self.role, Role::Active | Role::Canary | Role::Draining) && !self.is_sealed
    }

    /// Whether it may not even go on with what it began: it is past its deadline, evicted, or was rolled back.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        match self.role {
            Role::Drained | Role::Retired => true,
            // One that never was active has nothing but visits of people who try it out.
            Role::Rejected => self.epoch.is_some(),
            Role::Staged | Role::Canary | Role::Active | Role::Draining | Role::Superseded => false,
        }
    }
}

impl BackendEntry {
    /// What its cells say.
    #[must_use]
    pub fn facts(&self) -> BackendFacts {
        BackendFacts {
            in_flight: self.traffic.in_flight_everywhere(),
            consecutive_errors: self.traffic.consecutive_errors(),
            lost_generation: self.traffic.lost_generation(),
            latest_pin_expiry: self.traffic.latest_pin_expiry(),
            sighting: self.traffic.sighting(),
        }
    }

    /// Whether the process that is meant is still believed to be there. A worker that notices its loss says so to all
    /// others by the cell, before any snapshot can.
    #[must_use]
    pub fn is_sendable(&self) -> bool {
        self.traffic.lost_generation() < self.generation
    }
}

impl BackendFacts {
    /// Whether the control plane has something to decide about.
    fn is_notable(&self, generation: u32) -> bool {
        self.consecutive_errors > 0 || self.lost_generation >= generation
    }
}
