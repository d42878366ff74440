//! One service: its policy, its backends and versions, and which version is active in which epoch.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::asset::AssetDrop;
use crate::backend::Backend;
use crate::bake::Bake;
use crate::canary::Canary;
use crate::contract::Contract;
use crate::hook::Hooks;
use crate::id::{BackendId, Epoch, ServiceName, VersionLabel};
use crate::judge::Verdict;
use crate::policy::Policy;
use crate::roll::Roll;
use crate::schema::Schema;
use crate::suspend::Suspension;
use crate::time::Timestamp;
use crate::version::Version;

/// Most versions that a service remembers; the oldest retired ones are forgotten first.
pub const VERSIONS_MAX: usize = 64;
/// Most backends of one service.
pub const BACKENDS_MAX: usize = 20_000;

/// One application behind the proxy.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// Its name.
    pub name: ServiceName,
    /// What the operator decided about it.
    pub policy: Arc<Policy>,
    /// Where that came from.
    pub source: Source,
    /// The version that gets new sessions.
    pub active: Option<VersionLabel>,
    /// Grows by one whenever `active` changes, and whenever sessions of a canary have to go back to it. One that was removed and comes
    /// again goes on from where it was.
    pub epoch: Epoch,
    /// The version that gets a share of the new sessions.
    pub canary: Option<Canary>,
    /// Weight that the service is expected to have, as learned from its active versions.
    pub learned_weight: u64,
    /// Whether flips are refused, and why.
    pub freeze: Option<Suspension>,
    /// Whether its clients are turned away, and why.
    pub maintenance: Option<Suspension>,
    /// The last contract migration, which sets the rollback floor.
    pub contract: Option<Contract>,
    /// The schema at which its database is, if anybody says.
    pub schema: Option<Schema>,
    /// The last time that kept assets were dropped, as far as this process knows.
    pub asset_drop: Option<AssetDrop>,
    /// What is owed to its hooks.
    pub hooks: Hooks,
    /// How far a roll of its backends is.
    pub roll: Roll,
    /// The watch over the version that was flipped to last, if it replaced another one.
    pub bake: Option<Bake>,
    /// What was thought last of a version when it was no longer watched, or judged bad.
    pub verdict: Option<Verdict>,
    /// Its backends.
    pub backends: BTreeMap<BackendId, Arc<Backend>>,
    /// The versions that it knows.
    pub versions: BTreeMap<VersionLabel, Arc<Version>>,
    /// If it was removed and came again: a time by which every pin that was handed out before has expired. Any version may have some.
    pub former_pins_until: Option<Timestamp>,
    /// Place of the next version in the order of first appearance.
    pub next_seen: u64,
    /// The highest generation of all backends that were removed. One that comes back under an old name starts above it, so that nothing
    /// which was found out about the process before, or sent to it, is taken for the new one's.
    pub removed_generation: u32,
}

/// Where a service's policy came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The configuration file.
    Config,
    /// The admin API; the document as it was sent, for the record.
    Api(ServiceDocument),
}

/// The document that a service was put with. It may hold secrets of hooks, so nothing prints it.
#[derive(Clone, PartialEq, Eq)]
pub struct ServiceDocument(Arc<str>);

/// Counts and weights of one version's backends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Capacity {
    /// Backends, usable or not.
    pub registered: u32,
    /// Usable backends.
    pub usable: u32,
    /// Weight of all backends.
    pub registered_weight: u64,
    /// Weight of the usable ones.
    pub usable_weight: u64,
}

impl Service {
    /// A service without backends.
    #[must_use]
    pub fn new(name: ServiceName, policy: Arc<Policy>, source: Source) -> Self {
        Self {
            name,
            policy,
            source,
            active: None,
            epoch: Epoch(0),
            canary: None,
            learned_weight: 0,
            freeze: None,
            maintenance: None,
            contract: None,
            schema: None,
            asset_drop: None,
            hooks: Hooks::default(),
            roll: Roll::default(),
            bake: None,
            verdict: None,
            backends: BTreeMap::new(),
            versions: BTreeMap::new(),
            former_pins_until: None,
            next_seen: 1,
            removed_generation: 0,
        }
    }

    /// The weight that quorum and capacity are measured against.
    #[must_use]
    pub fn expected_weight(&self) -> u64 {
        self.policy.expected_weight.unwrap_or(self.learned_weight)
    }

    /// The active version.
    #[must_use]
    pub fn active_version(&self) -> Option<&Arc<Version>> {
        self.versions.get(self.active.as_ref()?)
    }

    /// The backends of a version: those that run it, and those that ran it when they were last asked.
    pub fn backends_of<'a>(&'a self, label: &'a VersionLabel) -> impl Iterator<Item = &'a Arc<Backend>> {
        self.backends.values().filter(move |backend| backend.version.as_ref() == Some(label))
    }

    /// Counts and weights of a version's backends.
    #[must_use]
    pub fn capacity(&self, label: &VersionLabel) -> Capacity {
        let mut capacity = Capacity::default();
        for backend in self.backends_of(label) {
            capacity.add(backend);
        }
        capacity
    }

    /// Counts and weights of every version that has backends, in one pass.
    #[must_use]
    pub fn capacities(&self) -> BTreeMap<&VersionLabel, Capacity> {
        let mut capacities: BTreeMap<&VersionLabel, Capacity> = BTreeMap::new();
        for backend in self.backends.values() {
            if let Some(label) = &backend.version {
                capacities.entry(label).or_default().add(backend);
            }
        }
        capacities
    }

    /// Removes a backend.
    pub(crate) fn remove_backend(&mut self, id: &BackendId) {
        if let Some(backend) = self.backends.remove(id) {
            self.removed_generation = self.removed_generation.max(backend.generation);
        }
    }

    /// Changes a backend in place, copying it only if somebody else looks at it.
    pub(crate) fn backend_mut(&mut self, id: &BackendId) -> Option<&mut Backend> {
        self.backends.get_mut(id).map(Arc::make_mut)
    }

    /// Changes a version in place, copying it only if somebody else looks at it.
    pub(crate) fn version_mut(&mut self, label: &VersionLabel) -> Option<&mut Version> {
        self.versions.get_mut(label).map(Arc::make_mut)
    }
}

impl ServiceDocument {
    /// The text of the document.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl From<&str> for ServiceDocument {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for ServiceDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServiceDocument({} bytes)", self.0.len())
    }
}

impl Capacity {
    fn add(&mut self, backend: &Backend) {
        let weight = u64::from(backend.weight().value());
        self.registered += 1;
        self.registered_weight += weight;
        if backend.is_usable() {
            self.usable += 1;
            self.usable_weight += weight;
        }
    }
}
