//! The tutorial, followed word for word: its files are written, its commands are run by bash, and what they print is what it says.

use std::fmt::Write as _;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::page::Page;

/// The ports that the page uses. Others stand for them here, because several tests run at once.
const PORTS: [&str; 6] = ["8080", "9900", "3001", "3002", "3003", "3004"];
/// Far more than it takes.
const PATIENCE: Duration = Duration::from_secs(150);

struct Step {
    line: usize,
    command: String,
    expected: Vec<String>,
}

#[test]
fn every_command_of_the_tutorial_prints_what_the_page_says() {
    let page = on_free_ports(Page::read("docs/tutorial.md"));
    let directory = tempfile::tempdir().unwrap();
    let mut steps = Vec::new();
    for block in page.blocks() {
        match block.language.as_str() {
            "python" => std::fs::write(directory.path().join("app.py"), &block.text).unwrap(),
            "toml" => std::fs::write(directory.path().join("cutover.toml"), &block.text).unwrap(),
            "console" => steps.extend(steps_of(&block.text, block.line)),
            // How the program is built: it is.
            "sh" => {}
            language => panic!("line {}: nobody knows what to do with {language:?}", block.line),
        }
    }
    assert!(steps.len() > 15, "only {} commands were found", steps.len());

    let log = follow(&steps, directory.path());

    for (index, step) in steps.iter().enumerate() {
        let printed =
            std::fs::read_to_string(directory.path().join(format!("{index}.out"))).unwrap_or_default();
        let printed: Vec<&str> = printed.lines().map(str::trim_end).collect();
        let is_as_said = all_fit(&printed, &step.expected);
        assert!(
            is_as_said,
            "docs/tutorial.md:{}: $ {}\nprinted {printed:#?}\nexpected {:#?}\n{log}",
            step.line, step.command, step.expected
        );
    }
}

/// Runs all commands in one shell, and answers what was said beside their output.
fn follow(steps: &[Step], directory: &Path) -> String {
    let mut script = "set -u\n".to_owned();
    for (index, step) in steps.iter().enumerate() {
        writeln!(script, "{{ {}\n}} >{index}.out", step.command).unwrap();
    }
    std::fs::write(directory.join("script"), script).unwrap();
    let binary = Path::new(env!("CARGO_BIN_EXE_cutover")).parent().unwrap();
    let admin = steps.iter().find_map(|step| step.command.strip_prefix("export CUTOVER_ADMIN="));
    assert!(admin.is_none(), "the page relies on the default address");
    let config = std::fs::read_to_string(directory.join("cutover.toml")).unwrap();
    let listen = config.split("listen = \"").nth(1).unwrap().split('"').next().unwrap();
    let mut command = Command::new("bash");
    command.arg("script").current_dir(directory).process_group(0);
    command.env("PATH", format!("{}:{}", binary.display(), std::env::var("PATH").unwrap()));
    command.env("CUTOVER_ADMIN", format!("http://{listen}")).env_remove("CUTOVER_TOKEN");
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(std::fs::File::create(directory.join("said")).unwrap());
    let group = Group(command.spawn().unwrap());
    let is_done = group.ends_within(PATIENCE);
    let read = |name: &str| std::fs::read_to_string(directory.join(name)).unwrap_or_default();
    let log = format!("said:\n{}\ncutover.log:\n{}", read("said"), read("cutover.log"));
    assert!(is_done, "the tutorial takes longer than {PATIENCE:?}\n{log}");
    log
}

/// The shell with all that it started; ends together.
struct Group(Child);

impl Group {
    fn ends_within(mut self, patience: Duration) -> bool {
        let began = Instant::now();
        while began.elapsed() < patience {
            if self.0.try_wait().unwrap().is_some() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        false
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // An error means that nobody is left of it.
        let _ = kill_process_group(Pid::from_child(&self.0), Signal::KILL);
        let _ = self.0.wait();
    }
}

fn steps_of(text: &str, first: usize) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for (line, text) in (first..).zip(text.lines()) {
        match (text.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => {
                steps.push(Step { line, command: command.to_owned(), expected: Vec::new() });
            }
            (None, Some(step)) => step.expected.push(text.trim_end().to_owned()),
            (None, None) => panic!("line {line}: output without a command"),
        }
    }
    steps
}

/// Whether all lines are what the page says, where a last line of `…` stands for any number of lines.
fn all_fit(printed: &[&str], expected: &[String]) -> bool {
    let (lines, is_cut) = match expected.split_last() {
        Some((last, lines)) if last == "…" => (lines, true),
        _ => (expected, false),
    };
    let is_long_enough = if is_cut { printed.len() > lines.len() } else { printed.len() == lines.len() };
    is_long_enough && printed.iter().zip(lines).all(|(printed, expected)| fits(printed, expected))
}

/// Whether a line is what the page says, where `…` stands for anything.
fn fits(printed: &str, expected: &str) -> bool {
    let mut rest = printed;
    for (index, part) in expected.split('…').enumerate() {
        match rest.find(part) {
            Some(at) if index > 0 || at == 0 => rest = &rest[at + part.len()..],
            _ => return false,
        }
    }
    rest.is_empty() || expected.ends_with('…')
}

/// The page as it would be if it had been written for ports that are free.
fn on_free_ports(page: Page) -> Page {
    let held = PORTS.map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    let mut text = page.text;
    for (port, held) in PORTS.iter().zip(&held) {
        text = text.replace(port, &held.local_addr().unwrap().port().to_string());
    }
    Page { text, ..page }
}

#[test]
fn dots_stand_for_anything() {
    assert!(fits("a 12 b", "a … b") && fits("a", "a") && fits("abc", "a…"));
    assert!(!fits("a 12 c", "a … b") && !fits("ab", "a") && !fits("ba", "a"));
    let said = ["a".to_owned(), "…".to_owned()];
    assert!(all_fit(&["a", "b", "c"], &said) && !all_fit(&["a"], &said) && !all_fit(&["b", "c"], &said));
}
