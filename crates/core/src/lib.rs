//! What cutover decides: pure functions over plain values.
//!
//! Two functions carry the product: [`State::apply`](state::State::apply) for every change of the control state, and
//! [`Snapshot::decide`](snapshot::Snapshot::decide) for every request. Everything else feeds them or carries out what they say.
//!
//! Nothing here does I/O, reads a clock, draws randomness, takes a lock or knows serde: `now` and entropy are arguments.

pub mod address;
pub mod answers;
pub mod asset;
pub mod backend;
pub mod bake;
pub mod balance;
pub mod canary;
pub mod client_key;
pub mod command;
pub mod compile;
pub mod contract;
pub mod decide;
pub mod departed;
pub mod drain;
pub mod effect;
pub mod entropy;
pub mod flip;
pub mod gate;
pub mod health;
pub mod hook;
pub mod id;
pub mod identity;
pub mod judge;
pub mod mix;
pub mod outlier;
pub mod pin;
pub mod policy;
pub mod preview;
pub mod proxy_protocol;
pub mod publish;
pub mod quorum;
pub mod registry;
pub mod rejected;
pub mod report;
pub mod retry;
pub mod roll;
pub mod rollback;
pub mod route;
pub mod schema;
pub mod service;
pub mod settle;
pub mod snapshot;
pub mod state;
pub mod suspend;
pub mod tie;
pub mod time;
pub mod traffic;
pub mod version;
