//! Which process answers, and which version it runs: real answers tell it best, then health answers, then what was registered.

use std::sync::Arc;

use crate::backend::{Admin, AdminState, Backend, Ejection, Identity, Operational};
use crate::command::{Finding, Found};
use crate::id::VersionLabel;
use crate::policy::IdentitySource;
use crate::report::BackendFacts;
use crate::service::Service;
use crate::time::{Millis, Timestamp};
use crate::traffic::Sighting;

/// How long a health answer is not believed after it contradicted real answers. A server that names one version here and another there
/// disturbs a request each time it is believed; one that was replaced by an older version, which looks the same, is out for so long.
const MISMATCH_MAX: Millis = Millis::from_secs(10);

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

/// What workers noticed about the process that is believed to be there.
pub(crate) fn notice(backend: &mut Backend, source: IdentitySource, facts: &BackendFacts) {
    let seen = facts.sighting.as_deref().filter(|seen| seen.generation >= backend.generation);
    match seen {
        // A health answer tells what the other process runs; what real answers say about it does not count.
        Some(seen) if source == IdentitySource::Response => sight(backend, seen),
        _ if backend.identity == Identity::Known => backend.lose_identity(),
        _ => {}
    }
}

/// What a backend says about itself outside of probes. News mean another process; what it runs is asked anew.
pub(crate) fn hear(backend: &mut Backend, version: Option<&VersionLabel>, boot_id: Option<&str>) {
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

/// Another process listens there, of which nothing is known yet, not even whether it answers.
pub(crate) fn replaced(backend: &mut Backend) {
    backend.forget_process();
    forget_boot(backend);
}

/// Another process has registered itself there. The label was its predecessor's: if it names no version, a health answer has to.
pub(crate) fn succeeded(backend: &mut Backend, version: Option<&VersionLabel>) {
    replaced(backend);
    backend.label = version.cloned();
    if version.is_some() {
        backend.version = version.cloned();
    }
}

/// The policy names another source of identities: what the old one told counts no more.
pub(crate) fn forget_identities(service: &mut Service) {
    service.backends.values_mut().for_each(|backend| Arc::make_mut(backend).lose_identity());
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

/// What was about the process ends with it. A drain is; maintenance is about the place, so it stays.
fn forget_boot(backend: &mut Backend) {
    if backend.admin.state == AdminState::Drain {
        backend.admin = Admin::ready();
    }
    backend.ejection = Ejection::default();
    backend.boot_id = None;
}
