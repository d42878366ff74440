//! The admin API, v1: JSON over HTTP on a listener of its own.
//!
//! One call, in the order of the files: `listener` → `serve` → `routes` → `host` → `auth` → `replies` → `call` (names, query, body) →
//! a handler (`services`, `backends`, `versions`, `flips`, …) → [`Control`](crate::handle::Control) → `answer` or `problem`.
//!
//! Architecture invariant: handlers decide nothing. They read a call into a command, submit it, and show what it did; every rule
//! is the core's.

mod answer;
mod api;
mod assets;
mod auth;
mod backends;
mod body;
mod call;
mod canaries;
mod config;
mod contracts;
mod dashboard;
mod flips;
mod gates;
mod guesses;
mod history;
mod holds;
mod host;
mod idle;
mod listener;
mod names;
mod node;
mod openapi;
mod peer;
mod permits;
mod previews;
mod problem;
mod query;
mod replies;
mod rolls;
mod routes;
mod serve;
mod services;
mod suspensions;
#[cfg(test)]
mod tests;
mod text;
mod upgrades;
mod versions;
pub mod wire;

pub use config::{AdminConfig, Certificate, Grant, Listen, Token};
pub use listener::Inherited;
pub use openapi::document;
pub use previews::{Front, Previews, Seal};
pub use serve::{AdminHandle, ServeError, serve, serve_on};
pub use upgrades::{Ask, Successor, UpgradeError, Upgrades};
