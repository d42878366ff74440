//! The pages that name proofs name files and tests that exist.

use std::path::Path;

use crate::page::{Page, root};

/// Pages whose claims lean on tests.
const PAGES: [&str; 2] = ["docs/guarantees.md", "docs/threat-model.md"];
/// Words of a name from which on it can only be that of a test.
const WORDS_MIN: usize = 5;

#[test]
fn every_file_and_test_that_is_named_as_proof_is_there() {
    let (mut paths, mut sources) = (Vec::new(), String::new());
    for folder in ["crates", "tests"] {
        collect(&root().join(folder), &mut paths, &mut sources);
    }
    let mut seen = 0;
    for page in PAGES.map(Page::read) {
        for (number, line) in page.prose() {
            for name in line.split('`').skip(1).step_by(2) {
                let is_there = if is_path(name) {
                    root().join(name).exists() || paths.iter().any(|path| path.ends_with(&format!("/{name}")))
                } else if name.split('_').count() >= WORDS_MIN {
                    sources.contains(&format!("fn {name}("))
                } else {
                    continue;
                };
                assert!(is_there, "{}:{number}: there is no {name}", page.path);
                seen += 1;
            }
        }
    }
    assert!(seen > 60, "only {seen} proofs were found");
}

fn is_path(name: &str) -> bool {
    let is_rust = Path::new(name).extension().is_some_and(|extension| extension == "rs");
    is_rust || name.starts_with("tests/") || name.starts_with("crates/")
}

fn collect(folder: &Path, paths: &mut Vec<String>, sources: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        let is_ours = !["target", "node_modules", "corpus", "artifacts"]
            .contains(&&*entry.file_name().to_string_lossy());
        if path.is_dir() && is_ours {
            collect(&path, paths, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path.to_string_lossy().into_owned());
            sources.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}
