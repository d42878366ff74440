//! Fixed limits: what exceeds them is bad, whatever the old version does, and one request alone exceeds nothing.

use std::time::Duration;

use cutover_core::answers::{Answers, Outcome, Tally};
use cutover_core::judge::{Baseline, Fault, Watch};
use cutover_core::policy::{BakePolicy, Share};
use cutover_core::time::Millis;

use crate::app::{Manner, USUAL};
use crate::trial::Trial;

fn limited(max_error_rate: f64, max_p99_ms: u64) -> BakePolicy {
    let max_error_rate = Share::new(max_error_rate).filter(|share| share.value() > 0.0);
    BakePolicy { max_error_rate, max_p99: Millis(max_p99_ms), ..BakePolicy::default() }
}

/// So many answers, of which the first ones are errors, or take longer.
fn second(requests: usize, errors: usize, slow: (usize, u64)) -> Tally {
    let answers = Answers::default();
    for at in 0..requests {
        let outcome = if at < errors { Outcome::Reset } else { Outcome::Good };
        answers.note(outcome, Duration::from_millis(if at < slow.0 { slow.1 } else { 10 }));
    }
    answers.tally()
}

#[test]
fn a_version_below_the_limit_is_hardly_ever_judged_by_it_and_one_above_always() {
    let erring = |bug| Manner { errors: 0.005, bug, ..USUAL };
    Trial::under(limited(0.02, 0), erring(0.005), erring(0.005)).tell("half the limit").assert_rarely_bad();
    // The old version errs as much, so that only the limit can tell.
    let trial = Trial::under(limited(0.02, 0), erring(0.055), erring(0.055)).tell("thrice the limit");
    trial.assert_bad_within(25);
    assert!(trial.bad.iter().all(|(_, fault)| *fault == Fault::ErrorLimit(0.02)));
}

#[test]
fn a_version_that_is_too_slow_for_the_limit_is_judged_by_it() {
    let tail = Manner { drag: 0.05, ..USUAL };
    let trial = Trial::under(limited(0.0, 150), tail, tail).tell("p99 above 150 ms");
    trial.assert_bad_within(30);
    assert!(trial.bad.iter().all(|(_, fault)| *fault == Fault::LatencyLimit(Millis(150))));
    Trial::under(limited(0.0, 2000), tail, tail).tell("p99 below 2 s").assert_rarely_bad();
}

#[test]
fn one_bad_request_exceeds_nothing() {
    let policy = limited(0.001, 50);
    let mut watch = Watch::default();
    let first = watch.observe(&second(30, 1, (1, 5000)), &Baseline::default(), &policy);
    let rest = (0..300).find_map(|_| watch.observe(&second(1, 0, (0, 0)), &Baseline::default(), &policy));
    assert_eq!((first, rest), (None, None));
}

#[test]
fn without_an_old_version_to_compare_with_a_broken_one_is_still_seen() {
    let mut watch = Watch::default();
    let policy = BakePolicy::default();
    let mut observe = |errors| watch.observe(&second(10, errors, (0, 0)), &Baseline::default(), &policy);
    assert_eq!(observe(4), None);
    assert_eq!(observe(6), Some(Fault::Broken { requests: 20, errors: 10 }));
}

#[test]
fn a_few_requests_say_nothing() {
    let old = Baseline { requests: 100_000, errors: 0, p95_us: Some(1000), p99_us: Some(2000) };
    let mut watch = Watch::default();
    let policy = BakePolicy::default();
    let bad = (1..=60).find(|_| watch.observe(&second(1, 1, (0, 0)), &old, &policy).is_some());
    assert_eq!(bad, Some(20), "all of them fail, and the evidence is there long before");
}
