//! What one decision costs: a session that begins, one that is pinned, and one whose version is hidden among many.

use std::hint::black_box;

use criterion::Criterion;
use cutover_core::decide::{Decision, Facts, PinAction};
use cutover_core::entropy::Entropy;
use cutover_core::pin::NoPin;
use cutover_core::policy::{Balance, HashOn, Policy};

use crate::fleet::{self, facts};

pub(crate) fn decide(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decide");
    for (name, balance) in [
        ("power-of-two", Balance::PowerOfTwo),
        ("round-robin", Balance::RoundRobin),
        ("least-connections", Balance::LeastConnections),
        ("peak-ewma", Balance::PeakEwma),
        ("hash", Balance::Hash(HashOn::Pin)),
    ] {
        let policy = Policy { balance, ..Policy::default() };
        let fleet = fleet::fleet([("web".to_owned(), policy)], 10);
        let mut entropy = Entropy::new(1);
        let new = facts(Err(NoPin::Absent));
        group.bench_function(format!("new session, {name}, 10 backends"), |bencher| {
            bencher.iter(|| fleet.snapshot.decide(black_box(&new), &mut entropy));
        });
        let Decision::Serve(choice) = fleet.snapshot.decide(&new, &mut entropy) else {
            unreachable!("the fleet is up")
        };
        let PinAction::Hand(pin, _) = choice.pin else { unreachable!("a new session gets a pin") };
        let pinned = facts(Ok(pin));
        group.bench_function(format!("pinned session, {name}, 10 backends"), |bencher| {
            bencher.iter(|| fleet.snapshot.decide(black_box(&pinned), &mut entropy));
        });
    }
    group.finish();
}

pub(crate) fn route(criterion: &mut Criterion) {
    let fleet = fleet::many_services(1000, 10);
    let hosts: Vec<String> = (0..1000).map(|number| format!("s{number}.example")).collect();
    let (mut entropy, mut next) = (Entropy::new(1), hosts.iter().cycle());
    criterion.bench_function("route and decide among 1,000 services", |bencher| {
        bencher.iter(|| {
            let host = next.next().map_or("", String::as_str);
            let found = fleet.snapshot.route(black_box(host), "/some/path");
            let facts =
                Facts { service: found.map_or(0, |found| found.service), ..facts(Err(NoPin::Absent)) };
            fleet.snapshot.decide(&facts, &mut entropy)
        });
    });
}
