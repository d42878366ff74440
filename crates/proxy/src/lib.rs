//! The data plane of cutover: one request, from accept to its last byte.
//!
//! ```text
//! listener → accept → connection → serve → facts → core/decide → forward → upstream → answer
//! ```
//!
//! One thread per worker with an event loop of its own ([`worker`]); nothing is shared between workers but the snapshot, the
//! cells that `core` defines, and counters. [`Proxy::bind`] opens the listening sockets, [`Proxy::wakes`] says how to wake the
//! workers when there is a new snapshot, [`Proxy::start`] runs them.

mod assets;
mod client;
mod compress;
pub mod config;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod h1;
mod h2;
mod io;
mod message;
mod own;
mod pin;
mod proxy;
mod rules;
mod serve;
mod telemetry;
mod upstream;
mod worker;

pub use client::listener::{BindError, Inherited};
pub use config::{Limits, ListenerConfig, Network, ProxyConfig};
pub use pin::keyring;
pub use proxy::{Proxy, StartError};
pub use telemetry::{access_log, metrics, trace, vault_metrics};
pub use worker::shutdown::{Ended, Handle};
