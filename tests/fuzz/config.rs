//! Configuration: no text makes the check panic or hang, and what it refuses it explains.
#![no_main]

use cutover_app::config;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    // A secret may name a file, and the fuzzer would find one that never ends.
    if text.contains("file:") {
        return;
    }
    let environment = |name: &str| (name.len() % 2 == 0).then(|| name.to_lowercase());
    if let Err(report) = config::parse("fuzz.toml", text, &environment) {
        assert!(!report.to_string().trim().is_empty(), "refused without a reason");
        assert!(!report.with_excerpts().trim().is_empty(), "refused without a reason");
    }
});
