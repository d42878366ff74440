//! The side of the clients: listening sockets, who connects to them and whether they may, and their connections.

pub(crate) mod accept;
pub(crate) mod arrival;
pub(crate) mod client_subject;
pub(crate) mod connection;
pub(crate) mod handshake;
pub(crate) mod linger;
pub(crate) mod listener;
pub(crate) mod per_client;
pub(crate) mod proxy_protocol;
pub(crate) mod rate;
