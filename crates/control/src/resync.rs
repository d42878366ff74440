//! Puts together what the store holds and what was observed, when the state is read again while the proxy runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use cutover_core::backend::Backend;
use cutover_core::service::{Service, Source};
use cutover_core::state::State;
use cutover_core::version::Version;

use crate::store::record;

/// The stored state, with everything that `believed` knows beyond records, wherever the two agree. What has another record than was
/// believed starts anew.
pub(crate) fn merge(stored: State, believed: &State) -> State {
    let mut departed = stored.departed;
    let services = stored.services.into_iter().filter_map(|(name, service)| {
        let known = believed.services.get(&name);
        // Without the configuration that it came from nobody knows its routes. It appears when it is configured again, and goes on from
        // its epoch.
        if known.is_none() && service.source == Source::Config {
            Arc::make_mut(&mut departed).leave(&name, service.epoch);
            return None;
        }
        Some((name, merge_service(service, known)))
    });
    let services = services.collect();
    let departed = if departed == believed.departed { Arc::clone(&believed.departed) } else { departed };
    let is_same_keys = stored.pin_keys == believed.pin_keys;
    let pin_keys = if is_same_keys { Arc::clone(&believed.pin_keys) } else { stored.pin_keys };
    State { services, departed, pin_keys, ahead: believed.ahead }
}

fn merge_service(stored: Arc<Service>, known: Option<&Arc<Service>>) -> Arc<Service> {
    let Some(known) = known else { return stored };
    let mut merged = Service::clone(&stored);
    if stored.source == known.source {
        merged.policy = Arc::clone(&known.policy);
    }
    let gone = known.backends.values().filter(|known| !stored.backends.contains_key(&known.id));
    let gone = gone.map(|known| known.generation).max().unwrap_or(0);
    merged.removed_generation = known.removed_generation.max(gone);
    merged.former_pins_until = merged.former_pins_until.max(known.former_pins_until);
    for (id, backend) in &mut merged.backends {
        match known.backends.get(id) {
            Some(known) => merge_backend(backend, known),
            None => Arc::make_mut(backend).generation = merged.removed_generation + 1,
        }
    }
    for (label, version) in &mut merged.versions {
        if let Some(known) = known.versions.get(label) {
            merge_version(version, known);
        }
    }
    let is_same = Arc::ptr_eq(&merged.policy, &known.policy)
        && record::is_same_service(&merged, known)
        && are_same(&merged.backends, &known.backends)
        && are_same(&merged.versions, &known.versions);
    if is_same { Arc::clone(known) } else { Arc::new(merged) }
}

fn merge_backend(stored: &mut Arc<Backend>, known: &Arc<Backend>) {
    if record::is_same_backend(stored, known) {
        *stored = Arc::clone(known);
    } else {
        // Connections to whatever was there before are not used.
        Arc::make_mut(stored).generation = known.generation + 1;
    }
}

fn merge_version(stored: &mut Arc<Version>, known: &Arc<Version>) {
    if record::is_same_version(stored, known) {
        *stored = Arc::clone(known);
    } else {
        let stored = Arc::make_mut(stored);
        stored.quorum_since = known.quorum_since;
        stored.pins_until = known.pins_until;
    }
}

fn are_same<K: Ord, V>(a: &BTreeMap<K, Arc<V>>, b: &BTreeMap<K, Arc<V>>) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|((a, x), (b, y))| a == b && Arc::ptr_eq(x, y))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;
    use crate::world::{World, id, web};

    #[tokio::test]
    async fn who_came_back_meanwhile_is_not_taken_for_who_left() {
        let world = World::with_two_versions(Arc::new(MemoryStore::new())).await;
        let mut believed = State::clone(world.controller.state());
        let service = Arc::make_mut(believed.services.get_mut(&web()).expect("web"));
        Arc::make_mut(service.backends.get_mut(&id("a")).expect("a")).generation = 7;
        let mut stored = believed.clone();
        let without = |state: &mut State| {
            let service = Arc::make_mut(state.services.get_mut(&web()).expect("web"));
            service.backends.remove(&id("a")).expect("a")
        };
        let mut back = without(&mut stored);
        Arc::make_mut(&mut back).generation = 1;

        let gone = merge(stored.clone(), &believed);
        let service = Arc::make_mut(stored.services.get_mut(&web()).expect("web"));
        service.backends.insert(id("a"), back);
        let merged = merge(stored, &gone);

        assert_eq!(merged.services[&web()].backends[&id("a")].generation, 8);
    }
}
