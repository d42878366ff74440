//! The data plane's facts on their way in, and the effects of a step on their way out. Both are derived from states, so nothing is lost
//! with a process.

use std::collections::BTreeMap;
use std::sync::Arc;

use cutover_core::backend::{Backend, Operational};
use cutover_core::effect::Event;
use cutover_core::id::{BackendId, ServiceName};
use cutover_core::report::Traffic;
use cutover_core::snapshot::{BackendEntry, Snapshot};
use cutover_core::state::State;

use crate::metrics::Metrics;
use crate::step::Step;
use crate::walk::differences;

/// What the data plane reports, given whether every worker serves the latest snapshot.
///
/// That something ended is reported only then: one that does not might still begin a request
/// by an older one, in which the version was active or the backend there.
pub(crate) fn traffic(state: &State, snapshot: &Snapshot, is_served: bool) -> Traffic {
    let mut traffic = snapshot.traffic();
    // A backend that nobody could use before is no other in the snapshot when it leaves, which then does not know.
    for service in state.services.values() {
        let leaving = service.backends.values().filter(|backend| backend.leaving.is_some());
        for backend in leaving {
            if let Some(entry) = entry(snapshot, &service.name, &backend.id) {
                traffic.backends.insert((service.name.clone(), backend.id.clone()), entry.facts());
            }
        }
    }
    if !is_served {
        traffic.loads.clear();
        traffic.backends.values_mut().for_each(|facts| facts.in_flight = facts.in_flight.max(1));
    }
    traffic
}

/// Tells all workers, by the cells that they use among themselves, which processes are not the known ones any more. They stop sending to
/// them at once, and not only when they serve the snapshot that says what is there now.
pub(crate) fn disown(before: &State, after: &State, snapshot: &Snapshot) {
    let none = BTreeMap::new();
    for (name, old, new) in differences(&before.services, &after.services) {
        let Some(old) = old.filter(|old| old.policy.identity.source.is_strict()) else { continue };
        let new = new.map_or(&none, |new| &new.backends);
        for (id, old, new) in differences(&old.backends, new) {
            let Some(old) = old.filter(|old| new.is_none_or(|new| new.generation != old.generation)) else {
                continue;
            };
            let Some(entry) = entry(snapshot, name, id) else { continue };
            entry.traffic.note_identity_lost(old.generation);
            if new.is_some_and(|new| is_replaced(old, new)) {
                // No process is judged by the errors of the one before.
                entry.traffic.forget_errors();
            }
        }
    }
}

/// Whether it is certain that another process is there, or none.
fn is_replaced(old: &Backend, new: &Backend) -> bool {
    !matches!(new.operational, Operational::Up(_))
        || new.is_another(old.version.as_ref(), old.boot_id.as_deref())
}

/// Carries out what a step means to the world beyond its snapshot, and writes it to the log.
pub(crate) fn carry_out(step: &Step, snapshot: &Snapshot, metrics: &Metrics) {
    for (service, event) in step.events() {
        tracing::info!(%service, kind = event.kind(), "{event}");
        match event {
            Event::Ejected(backend, true) => {
                // It is judged anew when it comes back.
                if let Some(entry) = entry(snapshot, service, backend) {
                    entry.traffic.forget_errors();
                }
            }
            Event::Activated { .. } if step.is_by_itself() => metrics.count_activation(service),
            _ => {}
        }
    }
}

/// A backend, as requests see it.
pub(crate) fn entry<'a>(
    snapshot: &'a Snapshot,
    service: &ServiceName,
    backend: &BackendId,
) -> Option<&'a Arc<BackendEntry>> {
    // Snapshots keep the order of names, in which they are compiled.
    let service = snapshot.services.binary_search_by(|set| set.name.cmp(service)).ok()?;
    let backends = &snapshot.services[service].backends;
    backends.binary_search_by(|entry| entry.id.cmp(backend)).ok().map(|at| &backends[at])
}
