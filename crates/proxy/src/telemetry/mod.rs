//! What can be learned from outside: metrics, the access log, and traces.

pub mod access_log;
pub mod metrics;
pub mod trace;
pub mod vault_metrics;
