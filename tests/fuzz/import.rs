//! Import: no text of any source makes it panic or hang, and what it makes of it passes its own check.
#![no_main]

use cutover_app::import::{ImportError, Source, import};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, String)| {
    let (source, text) = input;
    // What it includes would be files of this machine.
    if text.to_ascii_lowercase().contains("include") {
        return;
    }
    let source = match source % 3 {
        0 => Source::Apache,
        1 => Source::Nginx,
        _ => Source::Haproxy,
    };
    let Ok(file) = tempfile::NamedTempFile::new() else { return };
    if std::fs::write(file.path(), text).is_err() {
        return;
    }
    if let Err(error) = import(source, file.path()) {
        assert!(matches!(error, ImportError::Syntax { .. }), "{error}");
    }
});
