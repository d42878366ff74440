//! Rules over one source file: its shape, its words, and who may name what.

use crate::{File, Finding};

const LINES_MAX: usize = 600;
const COLUMNS_MAX: usize = 160;

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 8] =
    ["utils", "util", "common", "helpers", "helper", "manager", "managers", "misc"];

/// Signs of unfinished or silenced work. Joined from halves, because this file is checked as well.
const UNFINISHED: [(&str, &str); 5] = [
    (concat!("todo", "!("), "finish it, or leave it out"),
    (concat!("unimplemented", "!("), "finish it, or leave it out"),
    (concat!("FIX", "ME"), "fix it, or say what is true now"),
    (concat!("XX", "X"), "fix it, or say what is true now"),
    (concat!("#[cfg(", "any())]"), "delete what nothing compiles"),
];

/// A test that the runner passes over proves nothing, unless another test starts it as its child process.
const IGNORED: &str = concat!("#[", "ignore");
const STARTED_BY_ANOTHER: &str = " = \"the child process of ";

/// Where types may be serialized. Everywhere else a value crosses a border through one of these.
const SERDE_ALLOWED: [&str; 7] = [
    "crates/cutover/src/upgrade/message.rs",
    "crates/control/src/admin/wire",
    // Kept beside the store, because it is of one machine.
    "crates/control/src/pin_dates/file.rs",
    "crates/control/src/store/",
    "crates/cutover/src/config/raw",
    // The client's side of the wire: what it reads back is its own view of the API.
    "crates/cutover/src/ctl/",
    "crates/cutover/src/demo/",
];

/// Who may name the publisher: the crate that defines it, the one writer, and the wiring that hands it over.
const PUBLISHER_ALLOWED: [&str; 4] = [
    "crates/core/",
    "crates/control/src/controller",
    "crates/control/src/run.rs",
    "crates/cutover/src/serve",
];

/// The files with `unsafe` in them, each with what it buys.
const UNSAFE_ALLOWED: [(&str, &str); 1] = [(
    "crates/proxy/tests/no_allocations/counter.rs",
    "counts allocations in the allocator's place, for which the compiler takes nobody's word but the author's; it proves that a request makes none",
)];

/// Every rule that looks at one Rust file.
pub(crate) fn check(file: &File) -> Vec<Finding> {
    [
        shape,
        file_name,
        unfinished,
        ignored_tests,
        bare_allow,
        serde_stays_at_the_border,
        one_publisher,
        listed_unsafe,
    ]
    .iter()
    .flat_map(|rule| rule(file))
    .collect()
}

/// No line of any text ends in blanks.
pub(crate) fn trailing_whitespace(file: &File) -> Vec<Finding> {
    matching(file, |line| line.ends_with([' ', '\t']), "ends in whitespace")
}

/// An entry of the list whose file has no `unsafe` any more is a promise about nothing.
pub(crate) fn stale_unsafe_list(files: &[File]) -> Vec<Finding> {
    stale_entries(files, &UNSAFE_ALLOWED)
}

/// The file opens with what it is for, and is short and narrow enough to read.
fn shape(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    let first = file.text.lines().next().unwrap_or_default();
    if first.strip_prefix("//! ").is_none_or(|said| said.trim().is_empty()) {
        findings.push(Finding::new(
            &file.path,
            1,
            "the first line is a `//!` that says what the file is for",
        ));
    }
    let lines = file.text.lines().count();
    if lines > LINES_MAX {
        let message = format!("{lines} lines, at most {LINES_MAX}: give the second noun its own file");
        findings.push(Finding::new(&file.path, lines, message));
    }
    findings.extend(matching(
        file,
        |line| line.chars().count() > COLUMNS_MAX,
        &format!("wider than {COLUMNS_MAX} columns"),
    ));
    findings
}

/// A file is named after its one noun.
fn file_name(file: &File) -> Vec<Finding> {
    file.path
        .split('/')
        .map(|part| part.strip_suffix(".rs").unwrap_or(part))
        .filter(|part| EMPTY_NAMES.contains(part))
        .map(|part| {
            Finding::new(&file.path, 1, format!("`{part}` says nothing: name the file after its noun"))
        })
        .collect()
}

fn unfinished(file: &File) -> Vec<Finding> {
    UNFINISHED
        .iter()
        .flat_map(|(sign, advice)| matching(file, |line| line.contains(sign), &format!("`{sign}`: {advice}")))
        .collect()
}

fn ignored_tests(file: &File) -> Vec<Finding> {
    let is_lost =
        |line: &str| line.split_once(IGNORED).is_some_and(|(_, rest)| !rest.starts_with(STARTED_BY_ANOTHER));
    matching(file, is_lost, "a test that does not run proves nothing")
}

/// Lints are silenced by `expect`, which gives its reason and ends when the lint no longer fires.
fn bare_allow(file: &File) -> Vec<Finding> {
    let attributes = [concat!("#[", "allow"), concat!("#![", "allow")];
    let is_allow = |line: &str| {
        attributes.iter().any(|attribute| line.contains(attribute))
            || (line.contains("cfg_attr(") && line.contains(concat!("allow", "(")))
    };
    matching(file, is_allow, "write `#[expect(lint, reason = \"…\")]`")
}

fn serde_stays_at_the_border(file: &File) -> Vec<Finding> {
    let inside_a_crate = file.path.starts_with("crates/") && file.path.contains("/src/");
    if !inside_a_crate || SERDE_ALLOWED.iter().any(|allowed| file.path.starts_with(allowed)) {
        return Vec::new();
    }
    let is_serde = |line: &str| {
        has_word(line, "Serialize") || has_word(line, "Deserialize") || line.contains("#[serde(")
    };
    in_code(file, is_serde, "serde types live in admin/wire, store and config/raw only")
}

fn one_publisher(file: &File) -> Vec<Finding> {
    let allowed = PUBLISHER_ALLOWED.iter().any(|allowed| file.path.starts_with(allowed));
    if allowed || !file.path.contains("/src/") || file.path.ends_with("/tests.rs") {
        return Vec::new();
    }
    in_code(
        file,
        |line| has_word(line, "Publisher"),
        "only the controller publishes: send it a command instead",
    )
}

fn listed_unsafe(file: &File) -> Vec<Finding> {
    if UNSAFE_ALLOWED.iter().any(|(path, _)| *path == file.path) {
        return Vec::new();
    }
    in_code(
        file,
        is_unsafe,
        "unsafe code lives in a file of its own that `UNSAFE_ALLOWED` lists with its reason",
    )
}

fn stale_entries(files: &[File], list: &[(&str, &str)]) -> Vec<Finding> {
    let still_unsafe = |path: &str| {
        files.iter().any(|file| file.path == path && file.text.lines().any(|line| is_unsafe(code(line))))
    };
    list.iter()
        .filter(|(path, _)| !still_unsafe(path))
        .map(|(path, _)| Finding::new(path, 1, "has no unsafe code any more: take it off `UNSAFE_ALLOWED`"))
        .collect()
}

fn is_unsafe(code: &str) -> bool {
    // The word alone also occurs in texts, as in a content security policy.
    [" {", " fn", " impl", " extern", " trait", "("].iter().any(|next| {
        let sign = format!("unsafe{next}");
        code.find(&sign).is_some_and(|at| !code[..at].ends_with(is_word_character))
    })
}

fn matching(file: &File, broken: impl Fn(&str) -> bool, message: &str) -> Vec<Finding> {
    (1..)
        .zip(file.text.lines())
        .filter(|(_, line)| broken(line))
        .map(|(number, _)| Finding::new(&file.path, number, message))
        .collect()
}

/// Like `matching`, but blind to comments and to the file's own tests, which come last.
fn in_code(file: &File, broken: impl Fn(&str) -> bool, message: &str) -> Vec<Finding> {
    (1..)
        .zip(file.text.lines())
        .take_while(|(_, line)| *line != "#[cfg(test)]")
        .filter(|(_, line)| broken(code(line)))
        .map(|(number, _)| Finding::new(&file.path, number, message))
        .collect()
}

/// The line without its comment. Knows no strings, so a text with ` //` in it is cut short: rules may miss there, never invent.
fn code(line: &str) -> &str {
    if line.trim_start().starts_with("//") {
        return "";
    }
    line.split_once(" //").map_or(line, |(code, _)| code)
}

fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        !text[..at].ends_with(is_word_character) && !text[at + word.len()..].starts_with(is_word_character)
    })
}

fn is_word_character(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.to_owned(), text: text.to_owned() }
    }

    fn lines(findings: &[Finding]) -> Vec<usize> {
        findings.iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn a_clean_file_has_no_findings() {
        let text = "//! What a backend is.\n\npub struct Backend;\n";
        assert_eq!(check(&file("crates/core/src/backend.rs", text)), []);
    }

    #[test]
    fn a_file_without_an_opening_line_is_found() {
        for text in ["", "use std::io;\n", "//!\n", "\n//! Late.\n"] {
            assert_eq!(lines(&shape(&file("src/a.rs", text))), [1], "{text:?}");
        }
    }

    #[test]
    fn long_files_and_wide_lines_are_found() {
        let long = format!("//! Long.\n{}", "\n".repeat(LINES_MAX));
        assert_eq!(lines(&shape(&file("src/a.rs", &long))), [LINES_MAX + 1]);
        let widest = format!("//! Wide.\n// {}\n", "ä".repeat(COLUMNS_MAX - 3));
        assert_eq!(shape(&file("src/a.rs", &widest)), []);
        let too_wide = format!("//! Wide.\n// {}\n", "ä".repeat(COLUMNS_MAX - 2));
        assert_eq!(lines(&shape(&file("src/a.rs", &too_wide))), [2]);
    }

    #[test]
    fn empty_names_are_found_for_files_and_folders() {
        for path in ["src/utils.rs", "src/helpers/http.rs", "src/manager.rs"] {
            assert_eq!(file_name(&file(path, "")).len(), 1, "{path}");
        }
        assert_eq!(file_name(&file("src/commonmark.rs", "")), []);
    }

    #[test]
    fn every_sign_of_unfinished_work_is_found() {
        for (sign, _) in UNFINISHED {
            let text = format!("//! A.\n    {sign}\n");
            assert_eq!(lines(&unfinished(&file("src/a.rs", &text))), [2], "{sign}");
        }
    }

    #[test]
    fn an_ignored_test_is_found_unless_another_starts_it() {
        for reason in ["]", " = \"slow\"]"] {
            assert_eq!(
                lines(&ignored_tests(&file("src/a.rs", &format!("{IGNORED}{reason}")))),
                [1],
                "{reason}"
            );
        }
        let child = format!("{IGNORED}{STARTED_BY_ANOTHER}the test above\"]");
        assert_eq!(ignored_tests(&file("src/a.rs", &child)), []);
    }

    #[test]
    fn an_allow_is_found_and_an_expect_is_not() {
        for attribute in ["#[~(dead_code)]", "#![~(dead_code)]", "#[cfg_attr(test, ~(dead_code))]"] {
            let text = attribute.replace('~', "allow");
            assert_eq!(lines(&bare_allow(&file("src/a.rs", &text))), [1], "{text}");
        }
        assert_eq!(bare_allow(&file("src/a.rs", "#[expect(dead_code, reason = \"why\")]")), []);
    }

    #[test]
    fn serde_is_found_inside_and_let_be_at_the_border() {
        let text = "//! A.\n#[derive(Debug, Serialize)]\nstruct A;\n";
        assert_eq!(lines(&serde_stays_at_the_border(&file("crates/control/src/registry.rs", text))), [2]);
        assert_eq!(serde_stays_at_the_border(&file("crates/control/src/admin/wire/flip.rs", text)), []);
        let words = "//! Serialize.\n// Deserialize\nfn a(x: SerializeError) {}\n";
        assert_eq!(serde_stays_at_the_border(&file("crates/control/src/registry.rs", words)), []);
    }

    #[test]
    fn a_second_publisher_is_found() {
        let text = "//! A.\nstruct A(Publisher);\n#[cfg(test)]\nmod tests { use super::Publisher; }\n";
        assert_eq!(lines(&one_publisher(&file("crates/control/src/admin/mod.rs", text))), [2]);
        assert_eq!(one_publisher(&file("crates/control/src/controller.rs", text)), []);
        assert_eq!(one_publisher(&file("tests/sim/main.rs", text)), []);
    }

    #[test]
    fn unsafe_code_is_found_but_the_word_is_not() {
        for code in
            ["unsafe { f() }", "let a = unsafe { f() };", "pub unsafe fn f() {}", "#[unsafe(no_mangle)]"]
        {
            assert_eq!(lines(&listed_unsafe(&file("src/a.rs", code))), [1], "{code}");
        }
        for text in
            ["// unsafe { }", "#![deny(unsafe_code)]", "\"style-src 'unsafe-inline'\"", "let not_unsafe (1)"]
        {
            assert_eq!(listed_unsafe(&file("src/a.rs", text)), [], "{text}");
        }
    }

    #[test]
    fn a_listed_file_without_unsafe_code_is_found() {
        let list = [("src/a.rs", "why"), ("src/gone.rs", "why"), ("src/b.rs", "why")];
        let files = [file("src/a.rs", "unsafe { f() }"), file("src/b.rs", "// unsafe { f() }")];
        let paths: Vec<String> =
            stale_entries(&files, &list).into_iter().map(|finding| finding.path).collect();
        assert_eq!(paths, ["src/gone.rs", "src/b.rs"]);
    }

    #[test]
    fn trailing_blanks_are_found() {
        assert_eq!(lines(&trailing_whitespace(&file("a.md", "good\nbad \n\t\n"))), [2, 3]);
    }
}
