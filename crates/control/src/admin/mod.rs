//! The admin API, v1.

pub mod wire;
