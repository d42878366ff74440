//! TLS for both planes: certificates, what clients are shown, what backends are asked for.
//!
//! Types of rustls stay in this crate as far as they can. There is one crypto provider, aws-lc-rs.

pub mod challenge;
pub mod client;
pub mod lifetime;
pub mod server;
