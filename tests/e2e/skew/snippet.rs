//! The script of docs/skew.md, as the page has it.

/// The text of `update.js`.
pub(super) fn update_js() -> String {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/skew.md")).unwrap();
    let (_, script) = page.split_once("```js\n// update.js").expect("the page shows update.js");
    let (script, _) = script.split_once("```").expect("its block ends");
    format!("// update.js{script}")
}

#[test]
fn the_script_in_the_documentation_has_at_most_twenty_lines() {
    let lines = update_js().lines().count();
    assert!((10..=20).contains(&lines), "{lines} lines");
}
