//! The data plane of cutover: one request, from accept to its last byte.
//!
//! ```text
//! listener → accept → connection → serve → facts → core/decide → forward → upstream → answer
//! ```
//!
//! One thread per worker with an event loop of its own ([`worker`]); nothing is shared between workers but the snapshot, the
//! cells that `core` defines, and counters. [`Proxy::bind`] opens the listening sockets, [`Proxy::wakes`] says how to wake the
//! workers when there is a new snapshot, [`Proxy::start`] runs them.

mod accept;
pub mod access_log;
mod again;
mod alarm;
mod arrival;
mod ask;
mod assets;
mod blame;
mod buffer;
mod challenge;
mod check;
mod client_subject;
pub mod clock;
mod compress;
pub mod config;
mod connection;
pub mod cookie;
mod date;
mod decide;
mod decimal;
mod early;
mod error;
mod event_stream;
mod exchange;
pub mod facts;
pub mod fields;
mod finish;
#[cfg(test)]
mod fleet;
mod forward;
pub mod forwarded;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod grpc;
mod h1;
mod h2;
mod handshake;
pub mod headers;
mod idle_limit;
pub mod json;
mod keepalive;
pub mod keyring;
mod linger;
pub mod list;
mod listener;
pub mod metrics;
pub mod name;
pub mod negotiate;
mod own;
mod pages;
mod pass;
mod per_client;
pub mod pin;
mod plain;
mod pool;
pub mod preview;
mod proxy;
mod proxy_protocol;
mod queue;
mod rate;
mod reach;
mod redirect;
mod relay;
pub mod request_id;
pub mod respond;
mod rewrite;
mod rules;
mod scan;
mod scratch;
mod serve;
mod server;
mod shutdown;
mod sighting;
mod socket;
mod splice;
mod stream;
mod term;
mod tls;
mod to_https;
pub mod trace;
mod tunnel;
mod upload;
mod upstream;
pub mod vault_metrics;
pub mod version_endpoint;
mod view;
mod watch;
mod websocket;
mod worker;

pub use config::{Limits, ListenerConfig, Network, ProxyConfig};
pub use listener::{BindError, Inherited};
pub use proxy::{Proxy, StartError};
pub use shutdown::{Ended, Handle};
