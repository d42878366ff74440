//! The house rules, run as a test: every finding names its file and line.
//!
//! What rustfmt and clippy can check is left to them. The rules are plain functions over text, so that each has a test
//! that shows it fail; this file only walks the repository and prints what they find.

mod manifest;
mod metrics;
mod source;

use std::fmt;
use std::path::{Path, PathBuf};
use std::{fs, io};

use manifest::Manifest;

/// One text file of the repository, by its path from the root with forward slashes.
struct File {
    path: String,
    text: String,
}

impl File {
    fn has_extension(&self, wanted: &str) -> bool {
        self.path.rsplit_once('.').is_some_and(|(_, extension)| extension == wanted)
    }
}

/// One broken rule at one place.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    path: String,
    /// Counted from 1.
    line: usize,
    message: String,
}

impl Finding {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

#[test]
fn sources_follow_the_house_rules() {
    let files = repository_files().unwrap();
    let sources: Vec<&File> = files.iter().filter(|file| file.has_extension("rs")).collect();
    // A walk that lost its way must not pass for a clean repository.
    for expected in ["src/main.rs", "crates/core/src/lib.rs", "tests/tidy/main.rs"] {
        assert!(sources.iter().any(|file| file.path == expected), "the walk did not find {expected}");
    }
    let mut findings: Vec<Finding> = sources.iter().flat_map(|file| source::check(file)).collect();
    findings.extend(source::stale_unsafe_list(&files));
    report(&findings);
}

#[test]
fn no_file_has_trailing_whitespace() {
    let files = repository_files().unwrap();
    let findings: Vec<Finding> = files.iter().flat_map(source::trailing_whitespace).collect();
    report(&findings);
}

#[test]
fn manifests_follow_the_dependency_rules() {
    let files = repository_files().unwrap();
    let manifests: Vec<Manifest> =
        files.iter().filter(|file| file.path.ends_with("Cargo.toml")).filter_map(Manifest::parse).collect();
    for expected in ["cutover", "cutover-core", "cutover-proxy", "cutover-control", "cutover-app"] {
        assert!(manifests.iter().any(|manifest| manifest.package == expected), "no manifest of {expected}");
    }
    report(&manifest::check(&manifests));
}

#[test]
fn metrics_are_documented_and_asked_for_as_they_are_made() {
    let files = repository_files().unwrap();
    let named = |path: &str| files.iter().find(|file| file.path == path).unwrap();
    let sources: Vec<&File> = files.iter().filter(|file| file.has_extension("rs")).collect();
    let (page, rules) = (named(metrics::PAGE), named(metrics::RULES));
    let dashboard =
        File { path: metrics::DASHBOARD.to_owned(), text: fs::read_to_string(metrics::DASHBOARD).unwrap() };

    let mut findings = metrics::documented_as_made(&sources, page);
    findings
        .extend([rules, page, &dashboard].into_iter().flat_map(|file| metrics::known_metrics(file, page)));
    findings.extend(metrics::alerts(rules, named(metrics::RULE_TESTS), page));

    report(&findings);
}

fn report(findings: &[Finding]) {
    let lines: Vec<String> = findings.iter().map(Finding::to_string).collect();
    assert!(lines.is_empty(), "{} broken house rules:\n{}", lines.len(), lines.join("\n"));
}

/// What people write: sources, manifests, scripts, pages. Build output, recorded answers and other people's texts are left out.
fn repository_files() -> io::Result<Vec<File>> {
    const SKIPPED: [&str; 7] =
        [".git", "target", "node_modules", "artifacts", "corpus", "golden", "snapshots"];
    const WRITTEN_BY_US: [&str; 9] = ["rs", "toml", "md", "sh", "py", "ts", "tsx", "yml", "yaml"];
    const WITHOUT_EXTENSION: [&str; 4] = ["Makefile", "Dockerfile", "run", ".gitignore"];

    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    let mut pending: Vec<PathBuf> = vec![root.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
            if entry.file_type()?.is_dir() {
                if !SKIPPED.contains(&name.as_str()) {
                    pending.push(path);
                }
            } else if WRITTEN_BY_US.contains(&extension) || WITHOUT_EXTENSION.contains(&name.as_str()) {
                let relative = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
                files.push(File { path: relative, text: fs::read_to_string(&path)? });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}
