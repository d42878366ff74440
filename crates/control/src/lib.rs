//! The control plane: the only writer of cutover's state.

pub mod admin;
mod causes;
pub mod clock;
pub mod controller;
pub mod document;
pub mod elder;
pub mod error;
pub mod event_log;
pub mod handle;
pub mod handover;
mod hex;
mod hooks;
pub mod judge;
pub mod limited_store;
pub mod metrics;
pub mod pin_dates;
pub mod probe;
mod reconcile;
pub mod reply;
pub mod reply_log;
mod resync;
pub mod run;
pub mod shared_cookie;
mod state_metrics;
mod step;
pub mod store;
pub mod timeline;
mod walk;
#[cfg(test)]
mod world;
