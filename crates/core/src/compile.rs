//! From the control state to the next snapshot, sharing whatever did not change with the previous one.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::backend::{AdminState, Backend, Identity, Operational};
use crate::balance;
use crate::drain;
use crate::id::VersionLabel;
use crate::pin::{backend_hash, version_hash};
use crate::policy::Affinity;
use crate::preview;
use crate::route::RouteTable;
use crate::service::Service;
use crate::snapshot::{BackendEntry, CanarySet, Maintenance, ServiceSet, Snapshot, VersionSet};
use crate::state::State;
use crate::version::{Role, Version};

/// The snapshot of `state`. Services that did not change since `previous` are the same allocations, and so are the cells
/// of all versions and backends that were there before.
#[must_use]
pub fn compile(state: &State, previous: &Snapshot) -> Snapshot {
    let mut services = Vec::with_capacity(state.services.len());
    let mut sources = Vec::with_capacity(state.services.len());
    let mut is_routed_alike = state.services.len() == previous.sources.len();
    let mut old = previous.sources.iter().zip(&previous.services).peekable();
    // Both are in the order of names: one walk finds every predecessor.
    for service in state.services.values() {
        while old.next_if(|(source, _)| source.name < service.name).is_some() {}
        let known = old.next_if(|(source, _)| source.name == service.name);
        is_routed_alike &= known.is_some_and(|(source, _)| {
            Arc::ptr_eq(&source.policy, &service.policy)
                || (source.policy.hosts == service.policy.hosts
                    && source.policy.paths == service.policy.paths)
        });
        let set = match known {
            Some((source, set)) if Arc::ptr_eq(source, service) => Arc::clone(set),
            Some((_, set)) => compile_service(service, Some(set)),
            None => compile_service(service, None),
        };
        services.push(set);
        sources.push(Arc::clone(service));
    }
    let routes = if is_routed_alike { Arc::clone(&previous.routes) } else { Arc::new(routes(&services)) };
    let pin_keys = Arc::clone(&state.pin_keys);
    Snapshot { generation: previous.generation + 1, services, pin_keys, routes, sources }
}

fn routes(services: &[Arc<ServiceSet>]) -> RouteTable {
    let mut table = RouteTable::default();
    for (index, service) in services.iter().enumerate() {
        table.insert(index, &service.policy.hosts, &service.policy.paths);
    }
    table
}

fn compile_service(service: &Service, old: Option<&Arc<ServiceSet>>) -> Arc<ServiceSet> {
    // Both are in the order of names: one walk finds every predecessor.
    let mut known = old.map_or(&[][..], |old| &old.backends).iter().peekable();
    let mut backends: Vec<Arc<BackendEntry>> = Vec::with_capacity(service.backends.len());
    for backend in service.backends.values() {
        while known.next_if(|entry| entry.id < backend.id).is_some() {}
        backends.push(compile_backend(service, backend, known.next_if(|entry| entry.id == backend.id)));
    }

    let mut by_version: BTreeMap<&VersionLabel, Vec<(&Backend, &Arc<BackendEntry>)>> = BTreeMap::new();
    for (backend, entry) in service.backends.values().zip(&backends) {
        if let Some(label) = &backend.version {
            by_version.entry(label).or_default().push((backend, entry));
        }
    }
    let old_version =
        |label: &VersionLabel| old.and_then(|old| old.versions.iter().find(|set| set.label == *label));
    let versions: Vec<Arc<VersionSet>> = service
        .versions
        .values()
        .map(|version| {
            let members = by_version.get(&version.label).map_or(&[][..], Vec::as_slice);
            compile_version(service, version, members, old_version(&version.label))
        })
        .collect();

    let place = |label: &VersionLabel| versions.iter().position(|set| set.label == *label);
    let active = service.active.as_ref().and_then(place);
    let canary = service
        .canary
        .as_ref()
        .and_then(|canary| Some(CanarySet { version: place(&canary.version)?, share: canary.share }));
    let set = ServiceSet {
        name: service.name.clone(),
        policy: Arc::clone(&service.policy),
        epoch: service.epoch,
        active,
        canary,
        versions,
        backends,
        maintenance: maintenance(service),
    };
    match old {
        Some(old) if old.is_same(&set) => Arc::clone(old),
        _ => Arc::new(set),
    }
}

/// What the policy closes nobody knows the end of, also while it is closed by hand.
fn maintenance(service: &Service) -> Option<Maintenance> {
    match &service.maintenance {
        _ if service.policy.is_in_maintenance => Some(Maintenance { until: None }),
        suspended => suspended.as_ref().map(|suspended| Maintenance { until: suspended.until }),
    }
}

fn compile_backend(
    service: &Service,
    backend: &Backend,
    old: Option<&Arc<BackendEntry>>,
) -> Arc<BackendEntry> {
    let up_since = match backend.operational {
        Operational::Up(since) => Some(since),
        Operational::Starting | Operational::Down(_) => None,
    };
    let entry = BackendEntry {
        id: backend.id.clone(),
        hash: backend_hash(backend.id.as_str()),
        address: backend.address.clone(),
        weight: backend.weight().value(),
        generation: backend.generation,
        up_since,
        eviction: drain::backend_eviction(backend, service.policy.drain),
        traffic: old.map(|old| Arc::clone(&old.traffic)).unwrap_or_default(),
    };
    match old {
        Some(old) if old.is_same(&entry) => Arc::clone(old),
        _ => Arc::new(entry),
    }
}

fn compile_version(
    service: &Service,
    version: &Version,
    backends: &[(&Backend, &Arc<BackendEntry>)],
    old: Option<&Arc<VersionSet>>,
) -> Arc<VersionSet> {
    let pick = |is_wanted: &dyn Fn(&Backend) -> bool| {
        backends
            .iter()
            .filter(|(backend, _)| is_wanted(backend))
            .map(|(_, entry)| Arc::clone(entry))
            .collect::<Vec<_>>()
    };
    let mut members = pick(&Backend::is_usable);
    let ready = members.len();
    if service.policy.affinity == Affinity::Backend {
        // Sessions that live in a backend's memory stay with it until it is gone or they are evicted.
        members.extend(pick(&|backend| keeps_sessions(service, backend)));
    }
    let weights: Vec<u16> = members[..ready].iter().map(|entry| entry.weight).collect();
    let set = VersionSet {
        label: version.label.clone(),
        hash: version_hash(&version.label),
        role: version.role,
        epoch: version.epoch,
        eviction: drain::deadline(version, service.policy.drain),
        is_sealed: version.is_sealed && version.role == Role::Draining,
        is_previewable: preview::is_possible(service, version),
        is_pending: backends.iter().any(|(backend, _)| backend.is_pending()),
        cumulative: balance::cumulative(&weights),
        turns: balance::turns(&weights),
        members,
        ready,
        traffic: old.map(|old| Arc::clone(&old.traffic)).unwrap_or_default(),
    };
    match old {
        Some(old) if old.is_same(&set) => Arc::clone(old),
        _ => Arc::new(set),
    }
}

/// Whether a backend that is being taken out still serves the sessions that are tied to it. One that may be restarted does not: it is
/// there by chance.
fn keeps_sessions(service: &Service, backend: &Backend) -> bool {
    let is_there = matches!(backend.operational, Operational::Up(_))
        && backend.identity == Identity::Known
        && backend.ejection.until.is_none()
        && !service.roll.is_granted(&backend.id);
    is_there
        && match backend.admin.state {
            AdminState::Drain => true,
            AdminState::Ready => backend.leaving.is_some(),
            AdminState::Maint => false,
        }
}

fn are_same<T>(a: &[Arc<T>], b: &[Arc<T>]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| Arc::ptr_eq(a, b))
}

impl ServiceSet {
    fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.policy, &other.policy)
            && (self.epoch, self.active, self.maintenance) == (other.epoch, other.active, other.maintenance)
            && self.canary == other.canary
            && are_same(&self.versions, &other.versions)
            && are_same(&self.backends, &other.backends)
    }
}

impl VersionSet {
    fn is_same(&self, other: &Self) -> bool {
        (self.role, self.epoch, self.eviction) == (other.role, other.epoch, other.eviction)
            && (self.is_sealed, self.is_previewable, self.is_pending, self.ready)
                == (other.is_sealed, other.is_previewable, other.is_pending, other.ready)
            && are_same(&self.members, &other.members)
    }
}

impl BackendEntry {
    fn is_same(&self, other: &Self) -> bool {
        (&self.address, self.weight) == (&other.address, other.weight)
            && (self.generation, self.up_since) == (other.generation, other.up_since)
            && self.eviction == other.eviction
    }
}
