//! Ejection of a backend that fails live traffic, after Envoy's outlier detection: consecutive gateway errors, growing
//! ejection times, never more than a share of a version, never its last usable backend.

use std::sync::Arc;

use crate::backend::Ejection;
use crate::id::BackendId;
use crate::report::{BackendFacts, Traffic};
use crate::service::Service;
use crate::time::{Millis, Timestamp};

/// The longest ejection.
pub const EJECTION_MAX: Millis = Millis::from_secs(300);

/// Ends ejections that are over and begins new ones.
pub(crate) fn observe(service: &mut Service, traffic: &Traffic, now: Timestamp) {
    let policy = service.policy.outlier;
    let is_over = |ejection: Ejection| ejection.until.is_some_and(|until| until <= now);
    for backend in service.backends.values_mut().filter(|backend| is_over(backend.ejection)) {
        Arc::make_mut(backend).ejection = Ejection { until: None, ended_at: now, ..backend.ejection };
    }
    if policy.consecutive_errors == 0 {
        return;
    }
    let is_strict = service.policy.identity.source.is_strict();
    let failing: Vec<BackendId> = service
        .backends
        .values()
        .filter(|backend| {
            let facts = traffic.backends.get(&(service.name.clone(), backend.id.clone()));
            // A process that is gone fails everything at once. Its successor is not blamed for that: a probe asks what it is.
            let is_gone = |facts: &BackendFacts| is_strict && facts.is_lost(backend.generation);
            facts
                .is_some_and(|facts| facts.consecutive_errors >= policy.consecutive_errors && !is_gone(facts))
        })
        .map(|backend| backend.id.clone())
        .collect();
    for id in failing {
        if may_eject(service, &id)
            && let Some(backend) = service.backend_mut(&id)
        {
            backend.ejection = next(backend.ejection, policy.base_ejection, now);
        }
    }
}

/// Whether ejecting the backend leaves its version enough.
fn may_eject(service: &Service, id: &BackendId) -> bool {
    let Some(backend) = service.backends.get(id).filter(|backend| backend.is_usable()) else { return false };
    let Some(label) = &backend.version else { return false };
    let (mut all, mut ejected, mut usable) = (0_u32, 0_u32, 0_u32);
    for other in service.backends_of(label) {
        all += 1;
        ejected += u32::from(other.ejection.until.is_some());
        usable += u32::from(other.is_usable());
    }
    let share = f64::from(ejected + 1) / f64::from(all);
    usable > 1 && share <= service.policy.outlier.max_ejected.value()
}

/// The next ejection: longer by the first one's length for each in a row, starting over after a calm of [`EJECTION_MAX`].
fn next(last: Ejection, base: Millis, now: Timestamp) -> Ejection {
    let is_in_a_row = last.times > 0 && now.since(last.ended_at) < EJECTION_MAX;
    let times = if is_in_a_row { last.times.saturating_add(1) } else { 1 };
    let length = Millis(base.0.saturating_mul(u64::from(times))).min(EJECTION_MAX.max(base));
    Ejection { times, until: Some(now + length), ended_at: last.ended_at }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ejections_in_a_row_grow_and_a_calm_starts_over() {
        let base = Millis::from_secs(30);
        let first = next(Ejection::default(), base, Timestamp(0));
        assert_eq!((first.times, first.until), (1, Some(Timestamp(30_000))));
        let ended = Ejection { until: None, ended_at: Timestamp(30_000), ..first };
        let second = next(ended, base, Timestamp(40_000));
        assert_eq!((second.times, second.until), (2, Some(Timestamp(100_000))));
        let calm = next(ended, base, Timestamp(330_000));
        assert_eq!(calm.times, 1);
    }
}
