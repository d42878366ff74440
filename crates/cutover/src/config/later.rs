//! Keys that are documented and whose features come later.

use cutover_control::document::{Later, Off, Path, Problems};
use serde_json::Value;

/// Keys of the file that this version refuses by name.
const LATER: &[Later] = &[
    values(&["store", "kind"], &["etcd"], "write \"embedded\" or \"memory\""),
    key(&["store", "endpoints"], "remove it"),
    key(&["store", "prefix"], "remove it"),
    key(&["store", "tls"], "remove it"),
    key(&["store", "user"], "remove it"),
    key(&["store", "password"], "remove it"),
];

/// Reports the keys of the whole file whose features come later, and takes them out.
pub(super) fn strip(document: &mut Value, problems: &mut Problems) {
    Later::strip(LATER, document, &Path::root(), problems);
}

const fn key(path: &'static [&'static str], instead: &'static str) -> Later {
    Later { path, off: Off::Nothing, instead }
}

const fn values(
    path: &'static [&'static str],
    later: &'static [&'static str],
    instead: &'static str,
) -> Later {
    Later { path, off: Off::AllBut(later), instead }
}
