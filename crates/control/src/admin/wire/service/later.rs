//! Keys of a service that are documented and whose features come later.

use crate::document::{Later, Off};

/// Keys of a service that this version refuses by name, with paths from the service down.
pub const LATER: &[Later] = &[
    table(&["strip_prefix"]),
    table(&["bake"]),
    table(&["canary"]),
    table(&["assets"]),
    table(&["hook"]),
    table(&["request"]),
    table(&["response"]),
    table(&["rate_limit"]),
    table(&["error_pages"]),
    table(&["compression"]),
    values(&["pin", "policy"], &["page"], "write \"session\" or \"none\""),
    values(&["health", "protocol"], &["grpc"], "write \"http\" or \"tcp\""),
    values(&["upstream", "protocol"], &["h2c", "https", "https-h2"], "write \"http1\""),
];

const fn table(path: &'static [&'static str]) -> Later {
    Later { path, off: Off::Nothing, instead: "remove it" }
}

const fn values(
    path: &'static [&'static str],
    later: &'static [&'static str],
    instead: &'static str,
) -> Later {
    Later { path, off: Off::AllBut(later), instead }
}
