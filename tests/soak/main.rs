//! Chaos and soak: the real binary between real clients and real servers, while everything around it breaks by a seeded plan.
//!
//! `CUTOVER_SOAK_SECONDS=n` sets how long it takes, `CUTOVER_SOAK_SEED=n` repeats a plan, `CUTOVER_SOAK_OUT=dir` says where the logs,
//! the curves and the picture go. An ordinary test run takes some seconds of it; `make soak` half an hour.
#![cfg(test)]

mod abilities;
mod admin;
mod chaos;
mod clock;
mod crowd;
mod curve;
mod cutover;
mod deck;
mod disk;
mod flat;
mod fleet;
mod judge;
mod ledger;
mod operator;
mod options;
mod picture;
mod place;
mod play;
mod process;
mod pulse;
mod report;
mod rpc;
mod run;
mod tally;
mod trace;
mod tunnel;
mod visit;
mod wire;
mod world;
mod zone;

#[path = "../e2e/grpc/codec.rs"]
mod codec;
#[path = "../e2e/grpc/server.rs"]
#[expect(dead_code, reason = "what a test of single calls asks it for")]
mod server;

#[expect(dead_code, unused_imports, reason = "the rest is for tests that look at single answers")]
mod support;

/// One test in three roles: it makes itself a place of its own, plays there, and is the app servers of gRPC.
#[test]
fn promises_are_kept_under_chaos() {
    match std::env::var(process::ROLE).as_deref() {
        Ok(process::PLAYER) => play::play(),
        Ok(process::SERVER) => rpc::serve(),
        _ => place::enter(),
    }
}
