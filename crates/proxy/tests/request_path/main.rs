//! The request path over real sockets: a proxy in this process, app servers that play scripts, clients that write bytes.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the helpers of a test fail it by a panic, like the test itself"
)]

mod app;
mod assets;
mod backend;
mod both_h2;
mod client;
mod compressing;
mod deadlines;
mod giving_up;
mod hostile;
mod http2;
mod http2_tls;
mod identity;
mod idle;
mod large;
mod lasting;
mod leaving;
mod leftovers;
mod limiting;
mod losses;
mod maintenance;
mod message;
mod over_h2;
mod over_tls;
mod passing;
mod previewing;
mod proxied;
mod redirecting;
mod refusing;
mod retrying;
mod rules;
mod secured;
mod splits;
mod telling;
mod tls;
mod tracing;
mod tunnels_over_h2;
mod world;
