//! What the core promises, told as scenarios: a world of services, backends and sessions under a clock that tests move by hand.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a scenario that can't go on has failed, and its numbers are small"
)]

mod assets;
mod bake;
mod balance;
mod canary;
mod canary_judged;
mod compile;
mod contract;
mod decide;
mod departed;
mod drain;
mod effect;
mod first;
mod flip;
mod hook;
mod identity;
mod outlier;
mod page;
mod people;
mod preview;
mod registry;
mod reload;
mod roll;
mod rollback;
mod schema;
mod sessions;
mod suspend;
mod tied;
mod world;
