//! Which backends there are, and what is known about each: registrations, leases, probes, signs of a replaced process.

use std::sync::Arc;

use crate::backend::{Admin, AdminState, Backend, Ejection, Identity, Lease, Operational, Origin, Weight};
use crate::command::{Finding, Found, Registration};
use crate::id::{BackendId, VersionLabel};
use crate::policy::IdentitySource;
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

/// Makes the backends of the configuration file exactly these; registered ones stay.
pub(crate) fn configure(
    service: &mut Service,
    backends: &[Registration],
    now: Timestamp,
) -> Result<(), Rejected> {
    let is_configured = |id: &BackendId| backends.iter().any(|backend| backend.backend == *id);
    service.backends.retain(|id, backend| backend.origin != Origin::Config || is_configured(id));
    backends.iter().try_for_each(|said| admit(service, said, Origin::Config, now))
}

fn admit(service: &mut Service, said: &Registration, origin: Origin, now: Timestamp) -> Result<(), Rejected> {
    if !service.backends.contains_key(&said.backend) {
        if service.backends.len() >= BACKENDS_MAX {
            let detail = format!("{} has {BACKENDS_MAX} backends already", service.name);
            return Err(Rejected::because(Code::LimitReached, detail));
        }
        service.backends.insert(said.backend.clone(), Arc::new(fresh(said, origin, now)));
        return Ok(());
    }
    let Some(backend) = service.backend_mut(&said.backend) else { return Ok(()) };
    if backend.address != said.address {
        backend.address = said.address.clone();
        replaced(backend);
    }
    hear(backend, said.version.as_ref(), said.boot_id.as_deref());
    backend.registered_weight = said.weight;
    backend.origin = origin;
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
        generation: 1,
        origin,
        boot_id: said.boot_id.clone(),
        zone: said.zone.clone(),
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
    hear(backend, version, boot_id);
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
        service.backends.remove(id);
    } else {
        backend.leaving = Some(now + drain);
    }
    Ok(())
}

/// What a probe found out. An answer to an older generation says nothing about the process that is there now.
pub(crate) fn probed(service: &mut Service, found: &Found, now: Timestamp) {
    let Found { backend: id, generation, finding, .. } = found;
    let source = service.policy.identity.source;
    let is_current = service.backends.get(id).is_some_and(|backend| backend.generation == *generation);
    let Some(backend) = service.backend_mut(id).filter(|_| is_current) else { return };
    match finding {
        Finding::Down => {
            if !matches!(backend.operational, Operational::Down(_)) {
                backend.operational = Operational::Down(now);
                backend.lose_identity();
            }
        }
        Finding::Up { version, boot_id } => {
            if !matches!(backend.operational, Operational::Up(_)) {
                backend.operational = Operational::Up(now);
            }
            let told = match source {
                IdentitySource::Label => backend.label.clone(),
                IdentitySource::Health | IdentitySource::Response => {
                    version.clone().or_else(|| backend.label.clone())
                }
            };
            identify(backend, told, boot_id.as_deref());
        }
    }
}

/// What the data plane noticed, and what time ends: lost processes, lapsed leases, backends that have left.
pub(crate) fn observe(service: &mut Service, traffic: &Traffic, now: Timestamp) {
    let is_strict = service.policy.identity.source.is_strict();
    let ids: Vec<BackendId> = service.backends.keys().cloned().collect();
    for id in ids {
        let facts = traffic.backends.get(&(service.name.clone(), id.clone()));
        let backend = &service.backends[&id];
        let is_lapsed = matches!(backend.origin, Origin::Registered(Some(lease)) if lease.expires_at <= now);
        let has_left =
            backend.leaving.is_some_and(|at| at <= now || facts.is_some_and(|facts| facts.in_flight == 0));
        if is_lapsed || has_left {
            service.backends.remove(&id);
            continue;
        }
        let is_lost = is_strict
            && backend.identity == Identity::Known
            && facts.is_some_and(|facts| facts.lost_generation >= backend.generation);
        if let Some(backend) = service.backend_mut(&id).filter(|_| is_lost) {
            backend.lose_identity();
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

/// The policy names another source of identities: what the old one told counts no more.
pub(crate) fn forget_identities(service: &mut Service) {
    service.backends.values_mut().for_each(|backend| Arc::make_mut(backend).lose_identity());
}

/// What a backend says about itself outside of probes. News mean another process; what it runs is asked anew.
fn hear(backend: &mut Backend, version: Option<&VersionLabel>, boot_id: Option<&str>) {
    let is_other_version = version.is_some_and(|version| backend.label.as_ref() != Some(version));
    let is_other_boot =
        boot_id.is_some_and(|boot_id| backend.boot_id.as_deref().is_some_and(|known| known != boot_id));
    if let Some(boot_id) = boot_id {
        backend.boot_id = Some(boot_id.to_owned());
    }
    if let Some(version) = version.filter(|_| is_other_version) {
        backend.label = Some(version.clone());
        backend.version = Some(version.clone());
    }
    if is_other_version || is_other_boot {
        replaced(backend);
    }
}

/// What a probe's answer says about the process.
fn identify(backend: &mut Backend, version: Option<VersionLabel>, boot_id: Option<&str>) {
    let is_other_boot =
        boot_id.is_some_and(|boot_id| backend.boot_id.as_deref().is_some_and(|known| known != boot_id));
    let is_other_version = version.is_some() && backend.version.is_some() && backend.version != version;
    if is_other_boot || is_other_version {
        backend.generation += 1;
        end_drain(backend);
    }
    if let Some(boot_id) = boot_id {
        backend.boot_id = Some(boot_id.to_owned());
    }
    if version.is_some() {
        backend.version = version;
        backend.identity = Identity::Known;
    }
}

fn replaced(backend: &mut Backend) {
    backend.forget_process();
    end_drain(backend);
}

/// A drain is about a process, so it ends with it; maintenance is about the place, so it stays.
fn end_drain(backend: &mut Backend) {
    if backend.admin.state == AdminState::Drain {
        backend.admin = Admin::ready();
    }
    backend.ejection = Ejection::default();
}

fn known<'a>(service: &'a mut Service, id: &BackendId) -> Result<&'a mut Backend, Rejected> {
    let name = service.name.clone();
    service.backend_mut(id).ok_or_else(|| {
        Rejected::because(Code::UnknownBackend, format!("{name} has no backend {id}; register it first"))
    })
}
