//! A service as people write it: the fields of `[[service]]` in the configuration and of `PUT /v1/services/{s}`.
//!
//! [`ServiceSpec`] is the text, [`Policy`](cutover_core::policy::Policy) what it means. [`from_json`] reads the one into the other
//! with every problem at once; `ServiceSpec::from(&policy)` writes it back, which also makes the defaults of the two one thing.

mod backends;
mod check;
mod later;
mod sections;
mod spec;
mod write;

pub use check::{from_json, read_policy};
pub use later::LATER;
pub use spec::*;
