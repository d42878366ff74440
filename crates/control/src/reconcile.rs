//! The data plane's facts on their way in, and the effects of a step on their way out. Both are derived from states, so nothing is lost
//! with a process.

use std::collections::BTreeMap;
use std::sync::Arc;

use cutover_core::backend::{Backend, Operational};
use cutover_core::bake;
use cutover_core::effect::Event;
use cutover_core::id::{BackendId, ServiceName};
use cutover_core::judge::{Kind, Standing};
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
    // A backend that nobody could use before is no other in the snapshot when it leaves or is to be restarted, which then does not know.
    for service in state.services.values() {
        let is_awaited =
            |backend: &Backend| backend.leaving.is_some() || service.roll.is_emptying(&backend.id);
        let leaving = service.backends.values().filter(|backend| is_awaited(backend));
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
            Event::Activated { to, .. } if step.is_by_itself() => {
                let is_back = |other: &Event| matches!(other, Event::BakeEnded(_, bake::State::RolledBack));
                if step.events().iter().any(|(other, event)| other == service && is_back(event)) {
                    tracing::warn!(%service, %to, "rolled back, because the new version was judged bad");
                    metrics.count_rollback(service);
                } else {
                    metrics.count_activation(service);
                }
            }
            Event::Baked(..) => metrics.count_verdict(service, Kind::Bake, Standing::Good),
            Event::JudgedGood(..) => metrics.count_verdict(service, Kind::Canary, Standing::Good),
            Event::JudgedBad(_, kind, _) => metrics.count_verdict(service, *kind, Standing::Bad),
            Event::Drained(_, by) => metrics.count_drain(service, *by),
            Event::HookEnded(ended) => metrics.count_hook(service, ended),
            Event::CanaryEnded(_, end) => metrics.count_canary(service, *end),
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use cutover_core::command::{Change, Command, Finding, Registration};
    use cutover_core::policy::{IdentityPolicy, IdentitySource, Policy};
    use cutover_core::time::Millis;
    use cutover_core::traffic::Sighting;

    use super::*;
    use crate::handle::Request;
    use crate::store::{Fault, FaultyStore, MemoryStore, Store};
    use crate::timeline::Actor;
    use crate::world::{World, id, label, registration, web};

    /// Backend `a`, as a worker sees it that has not taken anything newer over.
    fn held(world: &World) -> Arc<BackendEntry> {
        Arc::clone(entry(&world.serve(), &web(), &id("a")).expect("a"))
    }

    /// A change that no worker has taken over yet.
    async fn change(world: &mut World, change: Change) {
        let request = Request::new(Command::Service(web(), change), Actor::config());
        world.controller.handle(request, world.now).await.expect("nothing forbids it");
    }

    #[tokio::test]
    async fn workers_stop_using_a_process_that_is_replaced_before_they_serve_the_snapshot() {
        let boot = |boot_id: &str| Some(boot_id.to_owned());
        let again = Registration { boot_id: boot("1"), ..registration("a", "v1") };
        let news = [
            Change::Register(registration("a", "v3")),
            Change::Heartbeat { backend: id("a"), version: None, boot_id: boot("2") },
            Change::Register(Registration {
                address: "127.0.0.1:81".parse().expect("it is one"),
                ..again.clone()
            }),
            Change::Deregister { backend: id("a"), drain: Millis::ZERO },
        ];
        for news in news {
            let mut world = World::with_two_versions(Arc::new(MemoryStore::new())).await;
            change(&mut world, Change::Register(again.clone())).await;
            let held = held(&world);
            assert!(held.is_sendable());

            change(&mut world, news.clone()).await;

            assert!(!held.is_sendable(), "{news:?}");
            let now = entry(&world.worker.load(), &web(), &id("a")).map(|entry| entry.is_sendable());
            assert!(now.is_none_or(|is_sendable| is_sendable), "{news:?}");
        }
    }

    #[tokio::test]
    async fn workers_stop_using_a_process_whose_lease_lapses() {
        let mut world = World::with_two_versions(Arc::new(MemoryStore::new())).await;
        let ttl = Some(Millis(500));
        change(&mut world, Change::Register(Registration { ttl, ..registration("a", "v1") })).await;
        let held = held(&world);
        world.pass(Millis(500)).await;
        assert!(!world.web().backends.contains_key(&id("a")) && !held.is_sendable());
    }

    /// A store that fails as it is told to.
    fn store() -> (Arc<dyn Store>, Arc<Mutex<Fault>>) {
        let fault = Arc::new(Mutex::new(Fault::None));
        let plan = Arc::clone(&fault);
        let plan = move || *plan.lock().expect("nobody panicked");
        (Arc::new(FaultyStore::new(Arc::new(MemoryStore::new()), plan)), fault)
    }

    /// Makes another source of identities count.
    async fn identify_by(world: &mut World, source: IdentitySource) {
        let identity = IdentityPolicy { source, ..IdentityPolicy::default() };
        let policy = Arc::new(Policy { identity, ..Policy::default() });
        let put = Command::PutService { service: web(), policy, document: "{}".into() };
        world.submit(put).await.expect("a service");
        world.up("a", "v1").await;
        world.up("b", "v2").await;
    }

    #[tokio::test]
    async fn workers_stop_using_a_replaced_process_even_while_the_store_fails() {
        let (store, fault) = store();
        let mut world = World::with_two_versions(store).await;
        let held = held(&world);

        *fault.lock().expect("nobody panicked") = Fault::Unavailable;
        let finding = Finding::Up { version: Some(label("v3")), boot_id: None };
        world.found("a", finding.clone()).await;
        assert!(!held.is_sendable());
        assert_eq!(world.web().backends[&id("a")].version, Some(label("v1")), "it could not be committed");

        *fault.lock().expect("nobody panicked") = Fault::None;
        world.pass(Millis(100)).await;
        world.found("a", finding).await;
        let backend = Arc::clone(&world.web().backends[&id("a")]);
        assert!(backend.is_usable() && backend.version == Some(label("v3")));
        assert!(self::held(&world).is_sendable());
    }

    #[tokio::test]
    async fn while_the_store_fails_a_sighting_is_a_doubt_and_holds_up_no_other() {
        let (store, fault) = store();
        let mut world = World::with_two_versions(store).await;
        identify_by(&mut world, IdentitySource::Response).await;
        let snapshot = world.serve();
        let [a, b] = ["a", "b"].map(|backend| entry(&snapshot, &web(), &id(backend)).expect("it is there"));
        let version = Some(label("v3"));
        a.traffic.note_sighting(Sighting { generation: a.generation, version, boot_id: None });
        b.traffic.note_identity_lost(b.generation);

        *fault.lock().expect("nobody panicked") = Fault::Unavailable;
        world.pass(Millis(5)).await;

        let believed = |world: &World| {
            ["a", "b"].map(|backend| {
                let backend = &world.web().backends[&id(backend)];
                (backend.identity.as_str(), backend.version.clone())
            })
        };
        assert_eq!(believed(&world), [("unknown", Some(label("v1"))), ("unknown", Some(label("v2")))]);
        world.up("b", "v2").await;
        assert!(world.web().backends[&id("b")].is_usable(), "that needs no commit");
    }

    #[tokio::test]
    async fn a_label_is_no_process() {
        let mut world = World::with_two_versions(Arc::new(MemoryStore::new())).await;
        identify_by(&mut world, IdentitySource::Label).await;
        let held = held(&world);
        change(&mut world, Change::Register(registration("a", "v3"))).await;
        assert!(held.is_sendable(), "nobody asks what a label is about");
    }

    #[tokio::test]
    async fn the_errors_of_a_process_end_with_it_and_not_with_a_doubt() {
        let mut world = World::with_two_versions(Arc::new(MemoryStore::new())).await;
        let entry = held(&world);
        entry.traffic.note_error();
        entry.traffic.note_identity_lost(entry.generation);
        world.pass(Millis(5)).await;
        assert_eq!(world.web().backends[&id("a")].identity.as_str(), "unknown");
        assert_eq!(entry.traffic.consecutive_errors(), 1);
        world.up("a", "v3").await;
        assert_eq!(entry.traffic.consecutive_errors(), 0);
    }
}
