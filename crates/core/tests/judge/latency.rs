//! Latency: shifts are seen, noise and trifles are not.

use cutover_core::judge::Fault;

use crate::app::{Manner, USUAL};
use crate::trial::Trial;

fn taking(latency_ms: f64) -> Manner {
    Manner { latency_ms, ..USUAL }
}

#[test]
fn a_version_that_is_as_fast_as_the_old_one_is_hardly_ever_judged_slow() {
    for latency_ms in [2.0, 20.0, 200.0] {
        let what = format!("{latency_ms} ms as before");
        Trial::of(taking(latency_ms), taking(latency_ms)).tell(&what).assert_rarely_bad();
    }
}

#[test]
fn a_version_that_takes_twice_as_long_is_judged_slow() {
    let trial = Trial::of(taking(20.0), taking(40.0)).tell("20 ms to 40 ms");
    trial.assert_bad_within(30);
    assert!(trial.bad.iter().all(|(_, fault)| *fault == Fault::Slow));
}

#[test]
fn what_nobody_notices_is_no_fault() {
    Trial::of(taking(0.2), taking(0.8)).tell("0.2 ms to 0.8 ms").assert_rarely_bad();
}

#[test]
fn a_tail_that_grows_is_judged_slow() {
    let tail = |drag| Manner { drag, ..USUAL };
    Trial::of(tail(0.0), tail(0.2)).tell("a tail of 0.02 to 0.22").assert_bad_within(60);
}
