//! From the command line to what it asks for, and to the exit code.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use tokio::runtime;

use crate::args::{Cli, Command};
use crate::config::{self, Config, Report};
use crate::ctl::{self, Exit};
use crate::{agent, demo, deploy, import, roll, serve, token};

/// Runs what the arguments of the process ask for.
#[must_use]
pub fn main() -> ExitCode {
    // Wrong usage ends here, with 2.
    let Cli { json, command } = Cli::parse();
    match command {
        Command::Serve(args) => serve::run(&args, json).into(),
        Command::Check { file } => check(&file, json).into(),
        Command::Control(command) => on_runtime(async { Box::pin(ctl::run(command, json)).await.into() }),
        Command::Roll(options) => on_runtime(async { Box::pin(roll::run(options, json)).await.into() }),
        Command::Deploy(options) => on_runtime(async { Box::pin(deploy::run(options, json)).await.into() }),
        Command::Demo(options) => on_runtime(async {
            match Box::pin(demo::run(options)).await {
                Ok(code) => code,
                Err(error) => fail(&error).into(),
            }
        }),
        Command::DemoApp(options) => on_runtime(async {
            match demo::app::run(options).await {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => fail(&error).into(),
            }
        }),
        Command::Agent(options) => on_runtime(agent::run(options, json)),
        Command::AgentLaunch(launch) => agent::launch::run(&launch),
        Command::AgentGuard => on_runtime(async {
            match agent::guard::run() {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => fail(&error).into(),
            }
        }),
        Command::Import(options) => import::run(&options, json).into(),
        Command::Token(args) => said(token::make(&args).and_then(|made| print(&made.text(json)))),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "cutover", &mut text);
            said(io::stdout().lock().write_all(&text))
        }
        Command::Man { dir } => said(man(dir.as_deref())),
    }
}

fn on_runtime(work: impl Future<Output = ExitCode>) -> ExitCode {
    match runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => fail(&error).into(),
    }
}

/// `cutover check`: says that all is right, with what is hardly meant, or everything that is wrong.
fn check(file: &Path, json: bool) -> Exit {
    let (text, exit) = match config::check(file) {
        Ok(config) if json => {
            let warnings: Vec<_> = config.warnings().iter().map(ToString::to_string).collect();
            let right = serde_json::json!({ "ok": true, "errors": [], "warnings": warnings });
            (format!("{right}\n"), Exit::Done)
        }
        Ok(config) => {
            warn(file, &config);
            let services = match config.services.len() {
                1 => "1 service".to_owned(),
                other => format!("{other} services"),
            };
            (format!("{}: no errors, {services}\n", file.display()), Exit::Done)
        }
        Err(report) if json => (format!("{:#}\n", report.to_json()), Exit::Failed),
        Err(report) => return fail_with(&report),
    };
    print(&text).map_or(Exit::Failed, |()| exit)
}

/// Says what is allowed in a configuration, and hardly meant.
fn warn(file: &Path, config: &Config) {
    let mut err = io::stderr().lock();
    for warning in config.warnings() {
        // Nobody to tell it to: there is no error either.
        let _ = writeln!(err, "{}: warning: {warning}", file.display());
    }
}

/// The manual page of `cutover` to standard output, or the pages of all commands into `dir`.
fn man(dir: Option<&Path>) -> io::Result<()> {
    let command = Cli::command();
    match dir {
        Some(dir) => {
            std::fs::create_dir_all(dir)?;
            clap_mangen::generate_to(command, dir)
        }
        None => {
            let mut text = Vec::new();
            clap_mangen::Man::new(command).render(&mut text)?;
            io::stdout().lock().write_all(&text)
        }
    }
}

fn print(text: &str) -> io::Result<()> {
    io::stdout().lock().write_all(text.as_bytes())
}

/// Output that nobody reads to its end is no failure.
fn said(written: io::Result<()>) -> ExitCode {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        // Arguments that contradict each other in a way the parser can't know.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            fail(&error);
            Exit::Usage.into()
        }
        Err(error) => fail(&error).into(),
        Ok(()) => ExitCode::SUCCESS,
    }
}

/// Says everything that is wrong with a configuration; at a terminal with the lines it is about.
pub(crate) fn fail_with(report: &Report) -> Exit {
    let mut err = io::stderr().lock();
    let text = if err.is_terminal() { report.with_excerpts() } else { format!("{report}\n") };
    // Nobody to tell it to: the exit code says it too.
    let _ = err.write_all(text.as_bytes());
    Exit::Failed
}

/// Says an error with its causes.
pub(crate) fn fail(error: &dyn std::error::Error) -> Exit {
    let text = format!("error: {}\n", in_words(error));
    // Nobody to tell it to: the exit code says it too.
    let _ = io::stderr().lock().write_all(text.as_bytes());
    Exit::Failed
}

/// An error with its causes, as one line.
pub(crate) fn in_words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
