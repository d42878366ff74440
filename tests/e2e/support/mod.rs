//! What the tests are played with: processes, clients and load.

pub(crate) mod admin;
pub(crate) mod app;
pub(crate) mod browser;
pub(crate) mod certificate;
pub(crate) mod child;
pub(crate) mod config;
pub(crate) mod cutover;
pub(crate) mod deployer;
pub(crate) mod http;
pub(crate) mod load;
pub(crate) mod port;
pub(crate) mod receiver;
pub(crate) mod script;
pub(crate) mod session;
pub(crate) mod stage;
pub(crate) mod wait;
