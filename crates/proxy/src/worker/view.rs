//! A snapshot, as one worker sees it: with everything beside it that is resolved once per snapshot and not per request.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;

use cutover_core::id::ServiceName;
use cutover_core::policy::{Policy, UpstreamPolicy};
use cutover_core::retry::Budget;
use cutover_core::snapshot::{BackendEntry, ServiceSet, Snapshot};
use cutover_core::time::Timestamp;
use cutover_vault::Vault;
use tokio::time::Instant;

use crate::client::rate::Limiter;
use crate::message::headers::IdentityFields;
use crate::pin::keyring::Keyring;
use crate::rules::Rules;
use crate::telemetry::metrics::{Metrics, ServiceHandles};
use crate::upstream::Wire;
use crate::upstream::pool::Pool;
use crate::upstream::reach::Reach;

/// One snapshot with this worker's things beside it. A request holds on to one from its decision to its last byte.
pub(crate) struct View {
    pub(crate) snapshot: Arc<Snapshot>,
    /// In the order of [`Snapshot::services`].
    pub(crate) services: Vec<Rc<ServiceView>>,
    /// The keys that sign pins.
    pub(crate) keyring: Rc<Keyring>,
    reach: Rc<Reach>,
}

/// One service of a view.
pub(crate) struct ServiceView {
    pub(crate) set: Arc<ServiceSet>,
    /// Per version, in the order of [`ServiceSet::versions`].
    pub(crate) versions: Vec<VersionView>,
    /// One per backend, in the order of [`ServiceSet::backends`].
    pools: Vec<Rc<Pool>>,
    pub(crate) identity: Rc<IdentityFields>,
    pub(crate) rules: Rc<Rules>,
    /// How often clients may ask, if there is a limit.
    pub(crate) limiter: Option<Arc<Limiter>>,
    /// Where assets are kept, if any are.
    pub(crate) vault: Option<Arc<Vault>>,
    /// Kept through all snapshots.
    pub(crate) budget: Rc<RefCell<Budget>>,
    pub(crate) metrics: ServiceHandles,
}

/// One version of a service.
pub(crate) struct VersionView {
    /// Per member, in the order of `VersionSet::members`.
    pub(crate) pools: Vec<Rc<Pool>>,
}

impl View {
    /// The view of `snapshot`. What did not change since `previous` is the same allocation, and connections to backends that are still there are kept.
    pub(crate) fn build(snapshot: Arc<Snapshot>, previous: &Self, metrics: &Metrics, now: Timestamp) -> Self {
        // Most snapshots have the services of the one before, in the same places.
        let mut by_name: Option<HashMap<&ServiceName, &Rc<ServiceView>>> = None;
        let services = snapshot.services.iter().enumerate().map(|(at, set)| {
            let same_place = previous.services.get(at).filter(|old| old.set.name == set.name);
            let old = same_place.or_else(|| {
                let by_name = by_name.get_or_insert_with(|| {
                    previous.services.iter().map(|service| (&service.set.name, service)).collect()
                });
                by_name.get(&set.name).copied()
            });
            match old {
                Some(old) if Arc::ptr_eq(&old.set, set) => Rc::clone(old),
                old => Rc::new({
                    let handles = metrics.resolve(set, snapshot.generation);
                    ServiceView::build(set, old.map(Rc::as_ref), handles, &previous.reach, now)
                }),
            }
        });
        let services = services.collect();
        let gone = previous.services.iter().filter(|old| snapshot.service(&old.set.name).is_none());
        gone.flat_map(|service| &service.pools).for_each(|pool| pool.retire());
        metrics.forget_gone(&snapshot);
        let keyring = if Arc::ptr_eq(&snapshot.pin_keys, &previous.snapshot.pin_keys) {
            Rc::clone(&previous.keyring)
        } else {
            Rc::new(Keyring::new(&snapshot.pin_keys))
        };
        Self { snapshot, services, keyring, reach: Rc::clone(&previous.reach) }
    }

    /// A view of nothing, to begin with.
    pub(crate) fn empty(reach: Reach) -> Self {
        let reach = Rc::new(reach);
        Self { snapshot: Arc::default(), services: Vec::new(), keyring: Rc::default(), reach }
    }

    /// By what its pools reach backends. It is the same in all views of a worker.
    pub(crate) fn reach(&self) -> Rc<Reach> {
        Rc::clone(&self.reach)
    }

    /// Looks at the idle connections of all services that are strict about who answers, and lets the task be woken when one of them
    /// ends. Each backend whose process may be gone by what is seen is `lost`.
    pub(crate) fn look(
        &self,
        now: Instant,
        cx: &mut Context<'_>,
        mut lost: impl FnMut(&Policy, &BackendEntry),
    ) {
        let strict = self.services.iter().filter(|service| service.set.policy.identity.source.is_strict());
        for service in strict {
            let policy = &service.set.policy;
            for (entry, pool) in service.set.backends.iter().zip(&service.pools) {
                if pool.look(policy.upstream.idle_timeout, now, cx) {
                    lost(policy, entry);
                }
            }
        }
    }

    /// Closes idle connections that are not worth keeping.
    pub(crate) fn sweep(&self, now: Instant) {
        for service in &self.services {
            let UpstreamPolicy { idle_timeout, max_idle, .. } = service.set.policy.upstream;
            service.pools.iter().for_each(|pool| pool.sweep(idle_timeout, max_idle, now));
        }
    }
}

impl ServiceView {
    fn build(
        set: &Arc<ServiceSet>,
        old: Option<&Self>,
        metrics: ServiceHandles,
        reach: &Rc<Reach>,
        now: Timestamp,
    ) -> Self {
        let wire = Wire::new(&set.policy.upstream, &reach.connectors);
        // Both are in the order of names, but places move when a backend comes or goes; the cells are what stays.
        let mut known: HashMap<_, _> = old
            .iter()
            .flat_map(|old| old.set.backends.iter().zip(&old.pools))
            .map(|(entry, pool)| (Arc::as_ptr(&entry.traffic), pool))
            .collect();
        let pools: Vec<Rc<Pool>> = set
            .backends
            .iter()
            .map(|entry| {
                let key = Arc::as_ptr(&entry.traffic);
                let pool = match known.get(&key) {
                    Some(pool) if pool.is_for(entry) => {
                        let pool = Rc::clone(pool);
                        known.remove(&key);
                        pool
                    }
                    _ => Rc::new(Pool::new(entry, &wire, reach)),
                };
                pool.renew(entry.generation, &wire, set.policy.identity.source.is_strict());
                pool
            })
            .collect();
        known.into_values().for_each(|pool| pool.retire());
        let place: HashMap<_, _> =
            set.backends.iter().zip(&pools).map(|(entry, pool)| (Arc::as_ptr(entry), pool)).collect();
        let versions = set.versions.iter().map(|version| VersionView {
            pools: version
                .members
                .iter()
                .map(|entry| {
                    let pool = place.get(&Arc::as_ptr(entry)).copied();
                    let pool = pool.map_or_else(|| Rc::new(Pool::new(entry, &wire, reach)), Rc::clone);
                    pool.runs(&version.label);
                    pool
                })
                .collect(),
        });
        let versions = versions.collect();
        let budget =
            old.map_or_else(|| Rc::new(RefCell::new(Budget::new(now))), |old| Rc::clone(&old.budget));
        let identity = Rc::new((&set.policy.identity).into());
        let alike = old.filter(|old| Arc::ptr_eq(&old.set.policy, &set.policy));
        let rules = alike.map_or_else(|| Rc::new(Rules::new(&set.policy)), |old| Rc::clone(&old.rules));
        let limiter = set.policy.rate_limit.map(|rate| reach.limiters.of(&set.name, rate));
        let vault = reach.vaults.of(set.name.as_str(), set.policy.assets.vault);
        Self { set: Arc::clone(set), versions, pools, identity, rules, limiter, vault, budget, metrics }
    }
}
