//! Errors: of good versions, of bad ones, and what a simpler test would have said.

use cutover_core::judge::Fault;

use crate::app::{App, Manner, USUAL};
use crate::trial::{RUNS, Trial, baseline};

fn failing(errors: f64) -> Manner {
    Manner { errors, ..USUAL }
}

/// A version that shares the troubles of the old one and has a bug.
fn buggy(errors: f64, bug: f64) -> Manner {
    Manner { bug, ..failing(errors) }
}

#[test]
fn a_version_that_is_as_good_as_the_old_one_is_hardly_ever_judged_bad() {
    for errors in [0.0, 0.001, 0.005, 0.01, 0.03] {
        let what = format!("errors {errors} as before");
        Trial::of(failing(errors), failing(errors)).tell(&what).assert_rarely_bad();
    }
}

#[test]
fn an_old_version_that_errs_allows_as_much() {
    for bug in [0.1, 0.6] {
        let what = format!("a bug of {bug} as before");
        Trial::of(buggy(0.01, bug), buggy(0.01, bug)).tell(&what).assert_rarely_bad();
    }
}

#[test]
fn fifty_good_deployments_in_a_row_are_none_too_many() {
    let trial = Trial::of(USUAL, USUAL);
    assert_eq!(trial.bad, [], "in {RUNS} deployments, which are eight times fifty");
}

#[test]
fn five_per_cent_of_errors_after_one_are_seen_in_about_a_quarter_of_a_minute() {
    let trial = Trial::of(failing(0.01), buggy(0.01, 0.04)).tell("errors 0.01 to 0.05");
    trial.assert_bad_within(25);
    assert!(trial.bad.iter().all(|(_, fault)| *fault == Fault::Errors));
}

#[test]
fn three_per_cent_of_errors_after_none_are_seen_within_half_a_minute() {
    let busy = |bug| Manner { requests: 200.0, ..buggy(0.001, bug) };
    let trial = Trial::of(busy(0.0), busy(0.029)).tell("200 requests/s, errors 0.001 to 0.03");
    trial.assert_bad_within(25);
    assert!(trial.second(1.0) <= Some(30), "all: {:?}", trial.second(1.0));
}

#[test]
fn thirty_per_cent_of_errors_are_seen_in_less_than_eight_seconds() {
    let trial = Trial::of(failing(0.01), buggy(0.01, 0.29)).tell("errors 0.01 to 0.3");
    trial.assert_bad_within(7);
}

#[test]
fn a_version_that_is_broken_is_seen_at_once() {
    let trial = Trial::of(failing(0.001), buggy(0.001, 0.9)).tell("errors 0.001 to 0.9");
    trial.assert_bad_within(3);
    assert!(matches!(trial.bad[0].1, Fault::Broken { .. }));
}

#[test]
fn with_a_request_per_second_it_takes_longer_and_is_no_less_right() {
    let quiet = |bug| Manner { requests: 1.0, ..buggy(0.01, bug) };
    Trial::of(quiet(0.0), quiet(0.0)).tell("1 request/s, errors 0.01 as before").assert_rarely_bad();
    Trial::of(quiet(0.0), quiet(0.29)).tell("1 request/s, errors 0.01 to 0.3").assert_bad_within(60);
}

#[test]
fn a_version_that_is_a_third_worse_is_mostly_let_through() {
    let trial = Trial::of(failing(0.03), buggy(0.03, 0.01)).tell("errors 0.03 to 0.04");
    assert!(trial.bad.len() as u64 <= RUNS / 10, "{}", trial.bad.len());
}

#[test]
fn the_noise_is_hard_a_test_that_does_not_know_of_bursts_is_wrong_in_a_fifth_of_all_cases() {
    let is_wrong = |seed: u64| {
        let manner = failing(0.01);
        let old = baseline(&mut App::new(manner, 2 * seed + 1));
        let (mut app, mut requests, mut errors) = (App::new(manner, 2 * seed + 2), 0, 0);
        (0..300).any(|_| {
            let second = app.second();
            (requests, errors) = (requests + second.answered(), errors + second.errors());
            let (n, old_n) = (requests as f64, old.requests as f64);
            let (rate, old_rate) = (errors as f64 / n, old.errors as f64 / old_n);
            let pooled = (errors + old.errors) as f64 / (n + old_n);
            let z = (rate - old_rate) / (pooled * (1.0 - pooled) * (1.0 / n + 1.0 / old_n)).sqrt();
            requests >= 100 && z > 2.33
        })
    };
    let wrong = (0..RUNS).filter(|&seed| is_wrong(seed)).count();
    println!("a z-test at every second: {wrong} of {RUNS}");
    assert!(wrong as u64 > RUNS / 5, "{wrong}");
}
