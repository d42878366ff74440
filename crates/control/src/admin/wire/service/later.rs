//! Keys of a service that are documented and whose features come later.

use crate::document::{Later, Off};

/// Keys of a service that this version refuses by name, with paths from the service down.
pub const LATER: &[Later] = &[
    table(&["bake"]),
    table(&["canary"]),
    values(&["pin", "policy"], &["page"], "write \"session\" or \"none\""),
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
