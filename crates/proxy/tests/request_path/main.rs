//! The request path over real sockets: a proxy in this process, app servers that play scripts, clients that write bytes.

mod app;
mod client;
mod lasting;
mod message;
mod passing;
mod refusing;
mod retrying;
mod world;
