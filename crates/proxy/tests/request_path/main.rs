//! The request path over real sockets: a proxy in this process, app servers that play scripts, clients that write bytes.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the helpers of a test fail it by a panic, like the test itself"
)]

mod app;
mod client;
mod deadlines;
mod hostile;
mod identity;
mod idle;
mod large;
mod lasting;
mod leaving;
mod leftovers;
mod losses;
mod message;
mod passing;
mod refusing;
mod retrying;
mod splits;
mod world;
