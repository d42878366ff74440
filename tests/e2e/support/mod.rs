//! What the tests are played with: processes, clients and load.

pub(crate) mod port;
