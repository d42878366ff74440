//! Balancers honour weights, and never leave the version.

use std::collections::BTreeMap;

use cutover_core::backend::Weight;
use cutover_core::command::{Change, Registration};
use cutover_core::decide::Facts;
use cutover_core::entropy::Entropy;
use cutover_core::policy::{Balance, HashOn, PinMode, PinPolicy, Policy};
use cutover_core::time::Millis;
use proptest::prelude::*;

use crate::world::{World, registration};

const WEIGHTS: [u64; 4] = [1, 2, 3, 6];

fn fleet(balance: Balance, weights: &[u64], slow_start: Millis) -> World {
    let pin = PinPolicy { mode: PinMode::None, ..PinPolicy::default() };
    let mut world = World::new(Policy { balance, slow_start, pin, ..Policy::default() });
    for (at, &weight) in weights.iter().enumerate() {
        let weight = Weight::new(weight).unwrap();
        world
            .change(Change::Register(Registration { weight, ..registration(&format!("b{at}"), "v1") }))
            .unwrap();
    }
    (0..weights.len()).for_each(|at| world.up(&format!("b{at}"), "v1"));
    world.join("v2", &["other"]);
    world
}

fn counts(world: &mut World, requests: u64, hash_key: impl Fn(u64) -> Option<u64>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for number in 0..requests {
        let facts = Facts { hash_key: hash_key(number), ..world.facts(None) };
        let served = world.served(&facts);
        assert_eq!(served.version, "v1");
        *counts.entry(served.backend).or_default() += 1;
    }
    counts
}

/// Pearson's statistic of the counts against weights.
fn chi_square(counts: &BTreeMap<String, u64>, weights: &[u64]) -> f64 {
    let (total, sum) = (counts.values().sum::<u64>() as f64, weights.iter().sum::<u64>() as f64);
    let expected = weights.iter().map(|&weight| weight as f64 / sum * total);
    let found = (0..weights.len()).map(|at| counts.get(&format!("b{at}")).copied().unwrap_or(0) as f64);
    expected.zip(found).map(|(expected, found)| (found - expected).powi(2) / expected).sum()
}

/// The value that the statistic of three degrees of freedom exceeds with a chance of 0.001.
const CRITICAL: f64 = 16.27;

#[test]
fn round_robin_gives_exact_turns() {
    let mut world = fleet(Balance::RoundRobin, &WEIGHTS, Millis::ZERO);
    let counts = counts(&mut world, 1200, |_| None);
    assert_eq!(counts.values().copied().collect::<Vec<_>>(), [100, 200, 300, 600]);
}

#[test]
fn hashing_honours_weights() {
    let mut world = fleet(Balance::Hash(HashOn::ClientIp), &WEIGHTS, Millis::ZERO);
    let counts = counts(&mut world, 20_000, |number| Some(cutover_core::mix::mix(number)));
    assert!(chi_square(&counts, &WEIGHTS) < CRITICAL, "{counts:?}");
}

#[test]
fn hashing_moves_only_the_keys_of_a_backend_that_left() {
    let mut world = fleet(Balance::Hash(HashOn::ClientIp), &[1, 1, 1, 1], Millis::ZERO);
    let home = |world: &mut World| {
        (0..1000)
            .map(|key| world.served(&Facts { hash_key: Some(key), ..world.facts(None) }).backend)
            .collect::<Vec<_>>()
    };
    let before = home(&mut world);
    world.down("b2");
    let after = home(&mut world);
    assert!(before.iter().zip(&after).all(|(before, after)| before == "b2" || before == after));
}

#[test]
fn with_nothing_in_flight_all_balancers_spread_by_weight() {
    for balance in [Balance::PowerOfTwo, Balance::PeakEwma, Balance::LeastConnections] {
        let mut world = fleet(balance.clone(), &WEIGHTS, Millis::ZERO);
        let counts = counts(&mut world, 4000, |_| None);
        assert!(chi_square(&counts, &WEIGHTS) < CRITICAL, "{balance:?}: {counts:?}");
    }
}

/// With load, the load for the weight decides.
#[test]
fn the_better_of_two_follows_the_load_for_the_weight() {
    for balance in [Balance::PowerOfTwo, Balance::PeakEwma, Balance::LeastConnections] {
        let mut world = fleet(balance.clone(), &WEIGHTS, Millis::ZERO);
        let mut guards = Vec::new();
        for _ in 0..600 {
            let served = world.request(None);
            let entry =
                world.snapshot.services[0].backends.iter().find(|entry| entry.id.as_str() == served.backend);
            guards.push(cutover_core::traffic::BackendInFlight::begin(&entry.unwrap().traffic));
        }
        let loads: Vec<u32> =
            (0..4).map(|at| world.snapshot.services[0].backends[at].traffic.in_flight()).collect();
        for (load, weight) in loads.iter().zip(WEIGHTS) {
            let fair = 50.0 * weight as f64;
            assert!((f64::from(*load) - fair).abs() <= fair * 0.25 + 3.0, "{balance:?}: {loads:?}");
        }
    }
}

#[test]
fn peak_ewma_avoids_the_slow_one() {
    let mut world = fleet(Balance::PeakEwma, &[1, 1, 1, 1], Millis::ZERO);
    for (at, entry) in world.snapshot.services[0].backends.iter().enumerate() {
        entry.traffic.note_latency(if at == 0 { 100_000 } else { 1000 }, world.now);
    }
    let counts = counts(&mut world, 1000, |_| None);
    assert!(counts.get("b0").copied().unwrap_or(0) < 100, "{counts:?}");
}

/// Two processes on one machine never measure the same twice.
#[test]
fn peak_ewma_honours_weights_while_latencies_differ_little() {
    let mut world = fleet(Balance::PeakEwma, &[1, 3], Millis::ZERO);
    let mut counts = BTreeMap::new();
    for number in 0..4000 {
        for (at, entry) in world.snapshot.services[0].backends.iter().enumerate() {
            let noise = cutover_core::mix::mix(2 * number + at as u64) % 200;
            entry.traffic.note_latency(900 + noise, world.now);
        }
        *counts.entry(world.request(None).backend).or_insert(0_u64) += 1;
        world.wait(Millis::from_secs(10));
    }
    assert!((2800..3200).contains(&counts["b1"]), "{counts:?}");
}

#[test]
fn a_slow_start_ramps_a_fresh_backend_up() {
    let mut world = fleet(Balance::RoundRobin, &[1, 1], Millis::from_secs(100));
    world.wait(Millis::from_secs(100));
    world.down("b0");
    world.up("b0", "v1");
    let share =
        |world: &mut World| counts(world, 2000, |_| None).get("b0").copied().unwrap_or(0) as f64 / 2000.0;
    let at_once = share(&mut world);
    world.wait(Millis::from_secs(50));
    let half_way = share(&mut world);
    world.wait(Millis::from_secs(50));
    let after = share(&mut world);
    assert!(
        at_once < 0.15 && (0.25..0.42).contains(&half_way) && after > 0.49,
        "{at_once} {half_way} {after}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_the_balancer_and_entropy_a_choice_is_in_the_version_and_untried(
        which in 0_usize..5,
        weights in prop::collection::vec(1_u64..=1000, 1..8),
        tried in prop::collection::vec(0_usize..8, 0..8),
        seed: u64,
    ) {
        let balances = [
            Balance::PowerOfTwo, Balance::RoundRobin, Balance::LeastConnections, Balance::PeakEwma, Balance::Hash(HashOn::Pin),
        ];
        let world = fleet(balances[which].clone(), &weights, Millis::ZERO);
        let service = &world.snapshot.services[0];
        let version = service.version("v1").unwrap();
        let choice = service.choose_again(version, &tried, &world.facts(None), &mut Entropy::new(seed));
        let is_any_left = (0..weights.len()).any(|at| !tried.contains(&at));
        prop_assert_eq!(choice.is_some(), is_any_left);
        prop_assert!(choice.is_none_or(|at| at < version.ready && !tried.contains(&at)));
    }

    #[test]
    fn draws_are_by_weight(weights in prop::collection::vec(1_u64..=20, 4), seed: u64) {
        let mut world = fleet(Balance::Hash(HashOn::ClientIp), &weights, Millis::ZERO);
        let mut keys = Entropy::new(seed);
        let drawn: Vec<u64> = (0..4000).map(|_| keys.word()).collect();
        let counts = counts(&mut world, 4000, |number| Some(drawn[number as usize]));
        // A chance of about one in a million per case: random seeds must not make the test flaky.
        prop_assert!(chi_square(&counts, &weights) < 31.0, "{:?} {:?}", weights, counts);
    }
}
