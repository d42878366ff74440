//! The API's description is a public surface: it changes only on purpose, and speaks of nothing that is not there.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use cutover_control::admin;
use serde_json::Value;

const GOLDEN: &str = "tests/golden/openapi.json";

fn document() -> Value {
    serde_json::to_value(admin::document()).unwrap()
}

#[test]
fn the_document_is_the_one_that_was_agreed_on() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(GOLDEN);
    let text = format!("{}\n", serde_json::to_string_pretty(&document()).unwrap());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    let differs = golden.lines().zip(text.lines()).position(|(golden, now)| golden != now);
    assert!(
        golden == text,
        "{GOLDEN} differs from line {differs:?} on; look at it, then run again with UPDATE=1"
    );
}

#[test]
fn every_reference_points_to_something() {
    let document = document();
    let mut pending = vec![&document];
    while let Some(value) = pending.pop() {
        match value {
            Value::Object(table) => {
                if let Some(Value::String(reference)) = table.get("$ref") {
                    let pointer = reference.strip_prefix('#').unwrap();
                    assert!(document.pointer(pointer).is_some(), "{reference} points to nothing");
                }
                pending.extend(table.values());
            }
            Value::Array(items) => pending.extend(items),
            _ => {}
        }
    }
}

#[test]
fn every_operation_has_a_name_a_summary_and_all_names_of_its_path() {
    let document = document();
    let mut names = std::collections::BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = operation["operationId"].as_str().unwrap();
            assert!(names.insert(name), "{name} is used twice");
            assert!(operation["summary"].is_string(), "{method} {path} has no summary");
            assert!(operation["responses"]["default"].is_object(), "{method} {path} has no errors");
            let parameters = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
            let documented = parameters.iter().filter(|parameter| parameter["in"] == "path");
            assert_eq!(documented.count(), path.matches('{').count(), "{method} {path}");
        }
    }
}
