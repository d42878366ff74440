//! What it costs to change the state and to compile the next snapshot, among 1,000 services of 10 backends.

use std::hint::black_box;

use criterion::Criterion;
use cutover_core::command::{Command, Finding, Found};
use cutover_core::compile::compile;
use cutover_core::id::{BackendId, ServiceName};
use cutover_core::snapshot::Snapshot;

use crate::fleet;

pub(crate) fn compile_and_apply(criterion: &mut Criterion) {
    let fleet = fleet::many_services(1000, 10);
    let service = ServiceName::parse("s500").expect("a name");
    let backend = BackendId::parse("b5").expect("a name");
    let down = Command::Probed(vec![Found { service, backend, generation: 1, finding: Finding::Down }]);
    criterion.bench_function("apply one change to 1,000 services x 10 backends", |bencher| {
        bencher.iter(|| fleet.state.apply(black_box(&down), fleet::NOW));
    });
    let changed = fleet.state.apply(&down, fleet::NOW).expect("a backend may go down");
    criterion.bench_function("compile 1,000 services x 10 backends, one changed", |bencher| {
        bencher.iter(|| compile(black_box(&changed), &fleet.snapshot));
    });
    criterion.bench_function("compile 1,000 services x 10 backends, from nothing", |bencher| {
        bencher.iter(|| compile(black_box(&fleet.state), &Snapshot::default()));
    });
    criterion.bench_function("read the traffic cells of 10,000 backends", |bencher| {
        bencher.iter(|| fleet.snapshot.traffic());
    });
}
