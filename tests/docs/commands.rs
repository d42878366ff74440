//! Every call of `cutover` in the documentation is one that the command line understands.

use std::collections::BTreeMap;
use std::process::Command;

use crate::page;
use crate::shell::{calls, commands};

#[test]
fn every_call_in_an_example_is_understood() {
    let mut seen = 0;
    for page in page::all() {
        for block in page.blocks().iter().filter(|block| matches!(block.language.as_str(), "sh" | "console"))
        {
            for call in commands(&block.language, &block.text).iter().flat_map(|command| calls(command)) {
                let errors = misunderstood(&call);
                assert!(
                    errors.is_empty(),
                    "{}:{}: cutover {}\n{errors}",
                    page.path,
                    block.line,
                    call.join(" ")
                );
                seen += 1;
            }
        }
    }
    assert!(seen > 60, "only {seen} calls were found");
}

#[test]
fn every_command_and_flag_in_the_text_is_there() {
    let mut helps = BTreeMap::new();
    for page in page::all().iter().filter(|page| page.path != "CHANGELOG.md") {
        for (number, line) in page.prose() {
            for code in line.split('`').skip(1).step_by(2).filter_map(|code| code.strip_prefix("cutover ")) {
                let mut words = code.split([' ', '|']);
                let command = words.next().unwrap().to_owned();
                // `help` has no help, and an arrow belongs to a drawing.
                if command == "help" || !command.starts_with(|c: char| c.is_ascii_lowercase()) {
                    continue;
                }
                let help = helps.entry(command.clone()).or_insert_with(|| help(&command));
                assert!(!help.is_empty(), "{}:{number}: there is no `cutover {command}`", page.path);
                for flag in words.take_while(|word| *word != "--").filter(|word| word.starts_with("--")) {
                    let flag = flag.trim_end_matches(['…', '.', ',']);
                    assert!(help.contains(flag), "{}:{number}: `cutover {command}` has no {flag}", page.path);
                }
            }
        }
    }
    assert!(helps.len() > 15, "only {} commands were found", helps.len());
}

#[test]
fn what_is_not_understood_is_noticed() {
    let call = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    assert!(misunderstood(&call("flip web v2 --dryrun")).contains("--dryrun"));
    assert!(misunderstood(&call("flop web")).contains("flop"));
    assert!(misunderstood(&call("flip web v2 v3")).contains("v3"));
    assert!(misunderstood(&call("agent --service web -- bin/server --help me")).is_empty());
}

/// The errors of a call that is not carried out: `--help` is looked at behind everything else.
fn misunderstood(call: &[String]) -> String {
    let own = call.iter().position(|word| word == "--").unwrap_or(call.len());
    let mut command = cutover();
    let output = command.args(&call[..own]).arg("--help").output().unwrap();
    if output.status.success() { String::new() } else { String::from_utf8(output.stderr).unwrap() }
}

fn help(command: &str) -> String {
    let output = cutover().args([command, "--help"]).output().unwrap();
    if output.status.success() { String::from_utf8(output.stdout).unwrap() } else { String::new() }
}

/// The program, without what this process was given for it.
pub(crate) fn cutover() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CUTOVER_")) {
        command.env_remove(name);
    }
    command.env_remove("RUST_LOG").env_remove("COLUMNS");
    command
}
