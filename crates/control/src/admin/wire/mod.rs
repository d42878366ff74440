//! What the admin API says and understands: the JSON twins of the core's types.
//!
//! Architecture invariant: these are the only types of the control plane that are written to or read from JSON, beside the
//! store's records. A field may be added, never renamed: clients of all releases read them.

pub mod assets;
pub mod backends;
pub mod bake;
pub mod canary;
pub mod flip;
pub mod hooks;
pub mod json;
pub mod previews;
pub mod problem;
pub mod roll;
pub mod schema;
pub mod service;
pub mod services;
pub mod status;
pub mod suspension;
pub mod time;
pub mod timeline;
pub mod upgrade;
pub mod versions;
