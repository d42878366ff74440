//! Bytes in and out: sockets, TLS, buffers, what is relayed from one stream to another, and the one timer of a connection.

pub(crate) mod alarm;
pub(crate) mod buffer;
pub(crate) mod keepalive;
pub(crate) mod plain;
pub(crate) mod relay;
pub(crate) mod socket;
pub(crate) mod splice;
pub(crate) mod stream;
pub(crate) mod tls;
