//! What the admin API says and understands: the JSON twins of the core's types.

pub mod service;
