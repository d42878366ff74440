//! `cutover deploy`: the whole way of a version, from its additive migration to the destructive one.
//!
//! The server keeps all that must not be lost: gates, the active version, the bake, the drain, the contract. This side looks there what
//! is next, runs the commands, and tells what they brought. So it may be ended at any moment: the same command goes on where it was.

mod act;
mod course;
mod dry_run;
mod options;
mod plan;
mod report;
mod scene;
mod share;
mod step_log;

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use tokio::time::Instant;

use self::act::Actor;
use self::course::{Course, End};
pub(crate) use self::options::Options;
use self::plan::{EXPAND, Memory, Standing, Step, Wants};
use self::report::Report;
use self::scene::Scene;
use self::step_log::StepLog;
use crate::ctl::client::Client;
use crate::ctl::{self, Error, Exit, Output};
use crate::job::Logs;
use crate::job::progress::{Progress, Step as Shown};
use crate::job::stop::{self, Stop, Stopper};
use crate::signals::{Signal, Signals};

/// Carries out `cutover deploy`, prints what it has to say, and tells how it ended.
pub(crate) async fn run(options: Options, json: bool) -> Exit {
    ctl::finish(carry_out(&options, json).await.map(Some), json)
}

async fn carry_out(options: &Options, json: bool) -> Result<Output, Error> {
    check(options)?;
    let client = Client::new(&options.remote);
    let wants = Wants::new(options);
    let scene = Scene::look(&client, &options.service, &options.version, wants.contract).await?;
    if options.dry_run {
        return Ok(dry_run::output(options, &wants, &scene));
    }
    if !options.yes && !json {
        confirm(options, &wants, &scene)?;
    }
    deploy(&client, options, &wants, scene).await
}

/// Names that would be one file, or one gate.
fn check(options: &Options) -> Result<(), Error> {
    let names = || options.gates.iter().map(|(name, _)| name.as_str());
    for (index, name) in names().enumerate() {
        let is_taken = (name == EXPAND && options.expand.is_some())
            || Step::ALL.iter().any(|step| step.as_str() == name && name != EXPAND);
        if is_taken
            || name.is_empty()
            || name.contains('/')
            || names().skip(index + 1).any(|other| other == name)
        {
            return Err(Error::Usage(format!(
                "--gate {name:?}: the name is empty, has a slash, is given twice, or is that of a step"
            )));
        }
    }
    Ok(())
}

/// Shows the plan at a terminal, and asks. Where nobody can answer nobody is asked.
fn confirm(options: &Options, wants: &Wants, scene: &Scene) -> Result<(), Error> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(());
    }
    let said = |source| Error::Io { what: "ask at the terminal".to_owned(), source };
    let plan = dry_run::output(options, wants, scene).text;
    let mut err = io::stderr().lock();
    err.write_all(format!("{plan}go on? [y/N] ").as_bytes()).and_then(|()| err.flush()).map_err(said)?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(said)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Error::State("nothing was done".to_owned())),
    }
}

async fn deploy(
    client: &Client,
    options: &Options,
    wants: &Wants,
    mut scene: Scene,
) -> Result<Output, Error> {
    let io = |what: &str| {
        let what = what.to_owned();
        |source: io::Error| Error::Io { what, source }
    };
    let logs =
        Logs::open(options.logs.as_deref(), "deploy").map_err(io("make the directory for the output"))?;
    let mut signals = Signals::catch().map_err(io("catch signals"))?;
    let (stopper, stopped) = stop::channel();
    let progress = Progress::start(wanted(wants, &scene), "steps");
    progress.say(&format!("the output of the commands is in {}", logs.directory().display()));
    let began = Instant::now();
    let mut course = Course {
        wants,
        actor: Actor { client, options, logs: &logs, progress: &progress, stopped },
        memory: Memory::default(),
        log: StepLog::default(),
        began,
        deadline: began + options.timeout,
    };
    let end = {
        let mut running = Box::pin(course.run(&mut scene));
        loop {
            tokio::select! {
                end = &mut running => break end,
                signal = signals.next() => match signal {
                    Signal::Stop(name) => interrupted(&progress, &stopper, name),
                    // A terminal that is gone ends nothing: the deploy goes on, and the log of its commands with it.
                    Signal::Reload | Signal::Reopen | Signal::Upgrade => {}
                },
            }
        }
    };
    show(&progress, &end);
    let Course { memory, .. } = course;
    // What was found before the last thing that was done may be outdated.
    if let Ok(found) = Scene::look(client, &options.service, &options.version, wants.contract).await {
        scene = found;
    }
    // The bars are gone before the report comes.
    drop(progress);
    let report = Report {
        options,
        wants,
        scene: &scene,
        memory: &memory,
        end: &end,
        logs: &logs,
        took: began.elapsed(),
    };
    Ok(report.output())
}

/// How many steps there are.
fn wanted(wants: &Wants, scene: &Scene) -> usize {
    let is_wanted = |step: &Step| {
        let standing = plan::standing(*step, wants, scene, &Memory::default(), std::time::Duration::ZERO);
        !matches!(standing, Standing::Unwanted)
    };
    Step::ALL.iter().filter(|step| is_wanted(step)).count()
}

/// Shows at which step it ended.
fn show(progress: &Progress, end: &End) {
    let (step, text) = match end {
        End::Finished => return,
        End::Refused(step, _) => (step, "is refused".to_owned()),
        End::Failed(step, failure) => (step, failure.to_string()),
        End::Interrupted(step) => (step, "is interrupted".to_owned()),
        End::Late(step, what) => (step, format!("the time is over: {what}")),
        End::Lost(step, error) => (step, error.to_string()),
    };
    progress.show(step.as_str(), Shown::Ended(&text));
}

/// The first interruption begins nothing new, the second one ends the command that runs.
fn interrupted(progress: &Progress, stopper: &Stopper, signal: &str) {
    if stopper.said() == Stop::No {
        progress.say(&format!(
            "interrupted by {signal}: nothing new is begun, a command that runs may end; once more ends it"
        ));
        stopper.stop(Stop::Asking);
    } else {
        progress.say(&format!("interrupted again by {signal}: the command is ended"));
        stopper.stop(Stop::Commands);
    }
}
