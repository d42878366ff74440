//! The control plane: the only writer of cutover's state.

pub mod admin;
pub mod document;
pub mod error;
pub mod event_log;
pub mod handle;
pub mod probe;
pub mod store;
pub mod timeline;
