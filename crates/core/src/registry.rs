//! Which backends there are, and what is known about each: registrations, leases, probes, signs of a replaced process.

use std::sync::Arc;

use crate::backend::{Admin, AdminState, Backend, Ejection, Identity, Lease, Operational, Origin, Weight};
use crate::command::{Finding, Found, Registration};
use crate::id::{BackendId, VersionLabel};
use crate::policy::IdentitySource;
use crate::rejected::{Code, Rejected};
use crate::report::{BackendFacts, Traffic};
use crate::service::{BACKENDS_MAX, Service};
use crate::time::{Millis, Timestamp};
use crate::traffic::Sighting;

/// How long a health answer is not believed after it contradicted real answers. A server that names one version here and another there
/// disturbs a request each time it is believed; one that was replaced by an older version, which looks the same, is out for so long.
const MISMATCH_MAX: Millis = Millis::from_secs(10);

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
    let from_config = service.backends.values().filter(|backend| backend.origin == Origin::Config);
    let gone: Vec<BackendId> =
        from_config.filter(|backend| !is_configured(&backend.id)).map(|backend| backend.id.clone()).collect();
    gone.iter().for_each(|id| service.remove_backend(id));
    backends.iter().try_for_each(|said| admit(service, said, Origin::Config, now))
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
    if backend.address != said.address || backend.leaving.is_some() {
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
        is_sighted: false,
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
        service.remove_backend(id);
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
            let told = backend.told(source, version.as_ref()).cloned();
            identify(backend, told, boot_id.as_deref(), now);
        }
    }
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
            notice(backend, source, facts);
        }
    }
}

/// What workers noticed about the process that is believed to be there.
fn notice(backend: &mut Backend, source: IdentitySource, facts: &BackendFacts) {
    let seen = facts.sighting.as_deref().filter(|seen| seen.generation >= backend.generation);
    match seen {
        // A health answer tells what the other process runs; what real answers say about it does not count.
        Some(seen) if source == IdentitySource::Response => sight(backend, seen),
        _ if backend.identity == Identity::Known => backend.lose_identity(),
        _ => {}
    }
}

/// A real answer came from another process than the known one. It proves that the process answers, so the backend stays up; and if the
/// answer named a version, that is what it runs.
fn sight(backend: &mut Backend, seen: &Sighting) {
    let is_another = backend.is_another(seen.version.as_ref(), seen.boot_id.as_deref());
    backend.lose_identity();
    if is_another {
        forget_boot(backend);
    }
    if let Some(boot_id) = &seen.boot_id {
        backend.boot_id = Some(boot_id.clone());
    }
    if let Some(version) = &seen.version {
        backend.version = Some(version.clone());
        backend.identity = Identity::Known;
        backend.is_sighted = true;
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
    if is_other_version || backend.is_other_boot(boot_id) {
        replaced(backend);
    }
    if let Some(boot_id) = boot_id {
        backend.boot_id = Some(boot_id.to_owned());
    }
    if let Some(version) = version.filter(|_| is_other_version) {
        backend.label = Some(version.clone());
        backend.version = Some(version.clone());
    }
}

/// What a probe's answer says about the process.
fn identify(backend: &mut Backend, told: Option<VersionLabel>, boot_id: Option<&str>, now: Timestamp) {
    let is_another = backend.is_another(told.as_ref(), boot_id);
    let is_contradiction = is_another && !backend.is_other_boot(boot_id) && is_disputed(backend, now);
    if is_another && !is_contradiction {
        backend.lose_identity();
        forget_boot(backend);
    }
    if let Some(boot_id) = boot_id {
        backend.boot_id = Some(boot_id.to_owned());
    }
    if is_contradiction {
        contradict(backend, now);
    } else if told.is_some() {
        backend.version = told;
        backend.identity = Identity::Known;
        backend.is_sighted = false;
    }
}

/// Whether a health answer that tells another version is not simply believed: real answers, which are worth more, told this one.
fn is_disputed(backend: &Backend, now: Timestamp) -> bool {
    match backend.identity {
        Identity::Known => backend.is_sighted,
        Identity::Mismatch(since) => now.since(since) < MISMATCH_MAX,
        Identity::Unknown => false,
    }
}

/// The health answer contradicts what a real answer said. Nobody is sent there until the two agree, or the health answer insists.
fn contradict(backend: &mut Backend, now: Timestamp) {
    if backend.identity == Identity::Known {
        backend.lose_identity();
        backend.identity = Identity::Mismatch(now);
    }
}

/// Another process listens there, of which nothing is known yet, not even whether it answers.
fn replaced(backend: &mut Backend) {
    backend.forget_process();
    forget_boot(backend);
}

/// What was about the process ends with it. A drain is; maintenance is about the place, so it stays.
fn forget_boot(backend: &mut Backend) {
    if backend.admin.state == AdminState::Drain {
        backend.admin = Admin::ready();
    }
    backend.ejection = Ejection::default();
    backend.boot_id = None;
}

fn known<'a>(service: &'a mut Service, id: &BackendId) -> Result<&'a mut Backend, Rejected> {
    let name = service.name.clone();
    service.backend_mut(id).ok_or_else(|| {
        Rejected::because(Code::UnknownBackend, format!("{name} has no backend {id}; register it first"))
    })
}
