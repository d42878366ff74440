//! Which backends there are: registrations, leases, what operators want of them, and how they leave.

use std::sync::Arc;

use crate::backend::{Admin, AdminState, Backend, Ejection, Identity, Lease, Operational, Origin, Weight};
use crate::command::Registration;
use crate::id::{BackendId, VersionLabel};
use crate::identity;
use crate::rejected::{Code, Rejected};
use crate::report::Traffic;
use crate::service::{BACKENDS_MAX, Service};
use crate::time::{Millis, Timestamp};

/// What an operator changes about a backend.
pub(crate) struct Patch<'a> {
    pub(crate) admin: Option<AdminState>,
    pub(crate) weight: Option<Weight>,
    pub(crate) force: bool,
    pub(crate) by: &'a str,
}

/// A backend registers itself, or again. The same registration once more only renews the lease.
pub(crate) fn register(service: &mut Service, said: &Registration, now: Timestamp) -> Result<(), Rejected> {
    let known = service.backends.get(&said.backend);
    if known.is_some_and(|known| known.origin == Origin::Config) {
        let detail = format!("backend {} is defined in the configuration file", said.backend);
        return Err(Rejected::because(Code::DefinedInConfig, detail));
    }
    let lease = said.ttl.map(|ttl| Lease { ttl, expires_at: now + ttl });
    admit(service, said, Origin::Registered(lease), now)
}

/// Makes the backends of the configuration file exactly these; registered ones stay. One that is registered at another address under a name
/// of the file is somebody else: it keeps the name for as long as it is there.
pub(crate) fn configure(
    service: &mut Service,
    backends: &[Registration],
    now: Timestamp,
) -> Result<(), Rejected> {
    let is_configured = |id: &BackendId| backends.iter().any(|backend| backend.backend == *id);
    let from_config = service.backends.values().filter(|backend| backend.origin == Origin::Config);
    let gone: Vec<BackendId> =
        from_config.filter(|backend| !is_configured(&backend.id)).map(|backend| backend.id.clone()).collect();
    gone.iter().for_each(|id| service.remove_backend(id));
    let is_taken = |known: &Backend, said: &Registration| {
        known.origin != Origin::Config && known.address != said.address
    };
    for said in backends {
        if !service.backends.get(&said.backend).is_some_and(|known| is_taken(known, said)) {
            admit(service, said, Origin::Config, now)?;
        }
    }
    Ok(())
}

fn admit(service: &mut Service, said: &Registration, origin: Origin, now: Timestamp) -> Result<(), Rejected> {
    if !service.backends.contains_key(&said.backend) {
        if service.backends.len() >= BACKENDS_MAX {
            let detail = format!("{} has {BACKENDS_MAX} backends already", service.name);
            return Err(Rejected::because(Code::LimitReached, detail));
        }
        let generation = service.removed_generation + 1;
        let backend = Backend { generation, ..fresh(said, origin, now) };
        service.backends.insert(said.backend.clone(), Arc::new(backend));
        return Ok(());
    }
    let Some(backend) = service.backend_mut(&said.backend) else { return Ok(()) };
    // Whoever said that it leaves does not come back: its successor does.
    let is_elsewhere = backend.address != said.address;
    if is_elsewhere || backend.leaving.is_some() || backend.is_other_boot(said.boot_id.as_deref()) {
        backend.address = said.address.clone();
        identity::succeeded(backend, said.version.as_ref());
    }
    identity::hear(backend, said.version.as_ref(), said.boot_id.as_deref());
    backend.registered_weight = said.weight;
    backend.origin = origin;
    backend.schema = said.schema;
    backend.zone.clone_from(&said.zone);
    backend.metadata.clone_from(&said.metadata);
    backend.leaving = None;
    Ok(())
}

fn fresh(said: &Registration, origin: Origin, now: Timestamp) -> Backend {
    Backend {
        id: said.backend.clone(),
        address: said.address.clone(),
        registered_weight: said.weight,
        patched_weight: None,
        label: said.version.clone(),
        version: said.version.clone(),
        admin: Admin::ready(),
        operational: Operational::Starting,
        identity: Identity::Unknown,
        is_sighted: false,
        generation: 1,
        origin,
        boot_id: said.boot_id.clone(),
        zone: said.zone.clone(),
        schema: said.schema,
        metadata: said.metadata.clone(),
        registered_at: now,
        leaving: None,
        ejection: Ejection::default(),
    }
}

/// A backend renews its lease and says what it runs.
pub(crate) fn heartbeat(
    service: &mut Service,
    id: &BackendId,
    version: Option<&VersionLabel>,
    boot_id: Option<&str>,
    now: Timestamp,
) -> Result<(), Rejected> {
    let backend = known(service, id)?;
    if let Origin::Registered(Some(lease)) = &mut backend.origin {
        lease.expires_at = now + lease.ttl;
    }
    identity::hear(backend, version, boot_id);
    Ok(())
}

/// An operator changes a backend.
pub(crate) fn patch(
    service: &mut Service,
    id: &BackendId,
    patch: &Patch<'_>,
    now: Timestamp,
) -> Result<(), Rejected> {
    known(service, id)?;
    if patch.admin.is_some_and(|state| state != AdminState::Ready) && !patch.force {
        keep_capacity(service, id)?;
    }
    let backend = known(service, id)?;
    if let Some(state) = patch.admin.filter(|&state| state != backend.admin.state) {
        backend.admin = Admin { state, by: patch.by.to_owned(), since: now };
    }
    if let Some(weight) = patch.weight {
        backend.patched_weight = Some(weight).filter(|&weight| weight != backend.registered_weight);
    }
    Ok(())
}

/// Refuses to take a backend out when too little of the active version would be left.
fn keep_capacity(service: &Service, id: &BackendId) -> Result<(), Rejected> {
    let Some(backend) = service.backends.get(id).filter(|backend| backend.is_usable()) else { return Ok(()) };
    let Some(active) = service.active.as_ref().filter(|&active| backend.version.as_ref() == Some(active))
    else {
        return Ok(());
    };
    let left = service.capacity(active).usable_weight.saturating_sub(u64::from(backend.weight().value()));
    let needed = service.policy.min_capacity.of(service.expected_weight());
    if left >= needed {
        return Ok(());
    }
    let detail = format!(
        "without {id} a weight of {left} of version {active} is usable, {needed} is needed (min_capacity)"
    );
    Err(Rejected::because(Code::BelowMinCapacity, detail))
}

/// A backend leaves: at once, or when nothing is in flight, after `drain` at the latest.
pub(crate) fn deregister(
    service: &mut Service,
    id: &BackendId,
    drain: Millis,
    now: Timestamp,
) -> Result<(), Rejected> {
    let backend = known(service, id)?;
    if backend.origin == Origin::Config {
        let detail = format!("backend {id} is defined in the configuration file; remove it there and reload");
        return Err(Rejected::because(Code::DefinedInConfig, detail));
    }
    if drain.is_zero() {
        service.remove_backend(id);
    } else {
        backend.leaving = Some(now + drain);
    }
    Ok(())
}

/// What the data plane noticed, and what time ends: lost processes, lapsed leases, backends that have left.
pub(crate) fn observe(service: &mut Service, traffic: &Traffic, now: Timestamp) {
    let source = service.policy.identity.source;
    let ids: Vec<BackendId> = service.backends.keys().cloned().collect();
    for id in ids {
        let facts = traffic.backends.get(&(service.name.clone(), id.clone()));
        let backend = &service.backends[&id];
        let is_lapsed = matches!(backend.origin, Origin::Registered(Some(lease)) if lease.expires_at <= now);
        let has_left =
            backend.leaving.is_some_and(|at| at <= now || facts.is_some_and(|facts| facts.in_flight == 0));
        if is_lapsed || has_left {
            service.remove_backend(&id);
            continue;
        }
        let Some(facts) = facts.filter(|facts| source.is_strict() && facts.is_lost(backend.generation))
        else {
            continue;
        };
        if let Some(backend) = service.backend_mut(&id) {
            identity::notice(backend, source, facts);
        }
    }
}

/// After a restart nothing is believed, and every lease has one full term.
pub(crate) fn restore(service: &mut Service, now: Timestamp) {
    for backend in service.backends.values_mut() {
        let backend = Arc::make_mut(backend);
        backend.forget_process();
        if let Origin::Registered(Some(lease)) = &mut backend.origin {
            lease.expires_at = now + lease.ttl;
        }
    }
}

/// The backend of this name.
pub(crate) fn known<'a>(service: &'a mut Service, id: &BackendId) -> Result<&'a mut Backend, Rejected> {
    let name = service.name.clone();
    service.backend_mut(id).ok_or_else(|| {
        Rejected::because(Code::UnknownBackend, format!("{name} has no backend {id}; register it first"))
    })
}
