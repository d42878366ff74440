//! `docs/cli.md`: what the command line says of itself.

use std::fmt::Write as _;

use crate::commands::cutover;
use crate::fresh;

const INTRODUCTION: &str = "# Command line

What `cutover help` says of every command. This page is made by a test (`tests/docs`), which fails when it is not what the program says.

Commands that speak to a running cutover find it by `CUTOVER_ADMIN`, and show who asks by `CUTOVER_TOKEN`, or by `CUTOVER_CERT` and `CUTOVER_KEY`.
`--json` prints what the admin API answered. A mistyped name is answered with those that there are.

| exit code | means |
|---|---|
| 0 | done |
| 1 | refused or failed, with every reason |
| 2 | wrong usage |
| 3 | the server can't be reached |
| 4 | timed out waiting |
";

#[test]
fn the_page_says_what_the_program_says() {
    let overview = output(&["help"]);
    let names = commands(&overview);
    assert!(names.len() > 30, "{names:?}");
    let mut page = format!("{INTRODUCTION}\n```text\n{}```\n", tidy(&overview));
    for name in names {
        let help = output(&[name, "--help"]);
        write!(page, "\n## cutover {name}\n\n```text\n{}```\n", tidy(&help)).unwrap();
        for inner in commands(&help) {
            let help = output(&[name, inner, "--help"]);
            write!(page, "\n### cutover {name} {inner}\n\n```text\n{}```\n", tidy(&help)).unwrap();
        }
    }
    fresh::hold("cli.md", &page);
}

/// The commands that a help lists.
fn commands(help: &str) -> Vec<&str> {
    let list = help.split("Commands:\n").nth(1).map_or("", |rest| rest.split("\n\n").next().unwrap_or(rest));
    let indented = list.lines().filter_map(|line| line.strip_prefix("  "));
    let names = indented.filter(|line| !line.starts_with(' ')).filter_map(|line| line.split(' ').next());
    names.filter(|name| *name != "help").collect()
}

fn output(arguments: &[&str]) -> String {
    String::from_utf8(cutover().args(arguments).output().unwrap().stdout).unwrap()
}

fn tidy(help: &str) -> String {
    help.lines().fold(String::new(), |text, line| text + line.trim_end() + "\n")
}
