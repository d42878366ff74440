//! Pages that are written by tests: compared as a rule, written anew with `UPDATE=1`.

use crate::page::root;

/// Holds a page of `docs/` against what it should be.
pub(crate) fn hold(name: &str, fresh: &str) {
    let path = root().join("docs").join(name);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, fresh).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = written.lines().zip(fresh.lines()).position(|(written, fresh)| written != fresh);
    assert!(written == fresh, "docs/{name} is stale from line {differs:?} on: run this test with UPDATE=1");
}

/// Text for a cell of a table: one line, and no bar that would end it.
pub(crate) fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}
