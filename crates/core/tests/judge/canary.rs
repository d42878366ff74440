//! Canaries: a third of the load, beside an active version that is watched over the same time.

use cutover_core::judge::Fault;

use crate::app::{Manner, USUAL};
use crate::trial::Trial;

/// What the active version answers, and half of it.
fn pair(manner: Manner) -> (Manner, Manner) {
    (Manner { requests: 100.0, ..manner }, Manner { requests: 50.0, ..manner })
}

#[test]
fn a_canary_that_is_as_good_is_hardly_ever_judged_bad() {
    for errors in [0.001, 0.03] {
        let (active, canary) = pair(Manner { errors, ..USUAL });
        Trial::canary(active, active, canary)
            .tell(&format!("canary, errors {errors} as the active version"))
            .assert_rarely_bad();
    }
}

#[test]
fn what_goes_wrong_for_both_is_not_blamed_on_the_canary() {
    let (calm, _) = pair(USUAL);
    for trouble in
        [Manner { bug: 0.3, ..USUAL }, Manner { bug: 0.9, ..USUAL }, Manner { latency_ms: 60.0, ..USUAL }]
    {
        let (active, canary) = pair(trouble);
        let what = format!("canary, both {} errors and {} ms from then on", trouble.bug, trouble.latency_ms);
        Trial::canary(calm, active, canary).tell(&what).assert_rarely_bad();
    }
}

#[test]
fn a_canary_with_a_bug_is_seen_as_fast_as_after_a_flip() {
    let (active, canary) = pair(Manner { errors: 0.01, ..USUAL });
    let trial =
        Trial::canary(active, active, Manner { bug: 0.04, ..canary }).tell("canary, errors 0.01 to 0.05");
    trial.assert_bad_within(30);
    assert!(trial.bad.iter().all(|(_, fault)| *fault == Fault::Errors));
    Trial::canary(active, active, Manner { bug: 0.29, ..canary })
        .tell("canary, errors 0.01 to 0.3")
        .assert_bad_within(8);
}
