//! What the pieces on the way of a request and of a change cost, each alone.
#![expect(clippy::expect_used, reason = "a bench that can't be set up has nothing to measure")]

mod compile;
mod decide;
mod fleet;
mod pin;

use criterion::{criterion_group, criterion_main};

criterion_group!(benches, decide::decide, decide::route, pin::pins, compile::compile_and_apply);
criterion_main!(benches);
