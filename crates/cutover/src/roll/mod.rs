//! `cutover roll`: restarts every backend of a service by a command, each when it has its permit.
//!
//! The server keeps the state of the roll and decides who may go when; this side asks, runs the commands, and says what happens.
//! So either side may crash: a roll that stopped goes on with `--resume`, which skips what came back already.

mod dry_run;
mod fleet;
mod options;
mod plan;
mod report;
mod restart;
mod template;

use std::collections::VecDeque;
use std::io;
use std::pin::pin;
use std::sync::Arc;

use http::Method;
use serde_json::json;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use self::fleet::{Fleet, place, read_roll};
pub(crate) use self::options::Options;
use self::report::Report;
use self::restart::{Context, Outcome, restart};
use self::template::{Place, Template};
use crate::ctl::client::{CALL_TIMEOUT, Client, path};
use crate::ctl::{self, Error, Exit, Output};
use crate::job::Logs;
use crate::job::progress::Progress;
use crate::job::stop::{self, Stop, Stopper};
use crate::signals::Signals;

/// Lines of a command's output that are shown when it fails.
const TAIL_LINES: usize = 15;

/// Carries out `cutover roll`, prints what it has to say, and tells how it ended.
pub(crate) async fn run(options: Options, json: bool) -> Exit {
    ctl::finish(carry_out(&options).await.map(Some), json)
}

async fn carry_out(options: &Options) -> Result<Output, Error> {
    let client = Client::new(&options.remote);
    if options.abort {
        return act(&client, options, "abort", "the roll is aborted").await;
    }
    let fleet = Fleet::read(&client, &options.service).await?;
    let targets = fleet.targets(options)?;
    if options.dry_run {
        return Ok(dry_run::output(options, &fleet, &targets));
    }
    let resumed = match (fleet.is_frozen(), &options.run) {
        (false, Some(_)) => None,
        _ => Some(act(&client, options, "resume", "the roll goes on").await?),
    };
    let Some(command) = &options.run else {
        return resumed.ok_or_else(|| Error::Usage("give the command with --run".to_owned()));
    };
    let template = Template::new(command);
    let places: VecDeque<Place> = targets.iter().map(|backend| place(backend)).collect();
    for place in &places {
        template.command(place, 1).map_err(|error| Error::Usage(error.to_string()))?;
    }
    roll(client, options, template, places).await
}

/// Resumes or aborts the roll.
async fn act(client: &Client, options: &Options, action: &str, done: &str) -> Result<Output, Error> {
    let service = &options.service;
    let mut body = json!({ "action": action });
    if let Some(reason) = &options.reason {
        body["reason"] = json!(reason);
    }
    let path = path(&["services", service, "roll"]);
    let answer = client.call(Method::POST, &path, Some(&body), CALL_TIMEOUT).await?;
    Ok(Output::new(answer.body, format!("{service}: {done}\n")))
}

/// Restarts the backends at these places, and reports.
async fn roll(
    client: Client,
    options: &Options,
    template: Template,
    places: VecDeque<Place>,
) -> Result<Output, Error> {
    let io = |what: &str| {
        let what = what.to_owned();
        |source: io::Error| Error::Io { what, source }
    };
    let logs =
        Logs::open(options.logs.as_deref(), "roll").map_err(io("make the directory for the output"))?;
    let signals = Signals::catch().map_err(io("catch signals"))?;
    let (stopper, stopped) = stop::channel();
    let context = Arc::new(Context {
        client,
        service: options.service.clone(),
        template,
        logs,
        progress: Progress::start(places.len(), "backends"),
        stopped,
        limit: options.timeout,
        settle: options.settle,
        turn: Mutex::new(()),
        last_back: watch::Sender::new(None),
    });
    context.progress.say(&format!("the output of the commands is in {}", context.logs.directory().display()));
    let began = Instant::now();
    let report = restart_all(&context, &stopper, signals, places, options).await;
    let last = read_roll(&context.client, &options.service).await.ok();
    let directory = context.logs.directory().display().to_string();
    // The bars are gone before the report comes.
    drop(context);
    Ok(report.output(options, last.as_ref(), &directory, began.elapsed()))
}

/// Keeps so many restarts under way as are wanted, until all are done, one fails or somebody stops it.
async fn restart_all(
    context: &Arc<Context>,
    stopper: &Stopper,
    mut signals: Signals,
    mut places: VecDeque<Place>,
    options: &Options,
) -> Report {
    let mut report = Report::default();
    let mut running = JoinSet::new();
    let mut timeout = pin!(sleep(options.timeout));
    loop {
        while stopper.said() == Stop::No
            && running.len() < usize::from(options.parallel)
            && let Some(place) = places.pop_front()
        {
            running.spawn(restart(Arc::clone(context), place));
        }
        tokio::select! {
            joined = running.join_next() => match joined {
                None => break,
                Some(Ok((place, outcome))) => ended(context, stopper, &mut report, place, outcome),
                // A restart that panicked says so itself; the others are not asked for.
                Some(Err(_)) => stopper.stop(Stop::Asking),
            },
            _ = signals.next() => interrupted(context, stopper),
            () = &mut timeout, if !report.is_late => {
                report.is_late = true;
                context.progress.say("the time is over: no more permits are asked for");
                stopper.stop(Stop::Asking);
            }
        }
    }
    report.left.extend(places.into_iter().map(|place| place.id));
    report
}

fn ended(context: &Context, stopper: &Stopper, report: &mut Report, place: Place, outcome: Outcome) {
    if let Outcome::Failed(failure) = &outcome {
        if failure.has_output() {
            let log = context.logs.file(&place.id);
            let tail = context.logs.tail(&place.id, TAIL_LINES).join("\n    ");
            context.progress.say(&format!("the last lines of {}:\n    {tail}", log.display()));
        }
        if stopper.said() == Stop::No {
            context.progress.say(&format!("{} failed: no more permits are asked for", place.id));
        }
        stopper.stop(Stop::Asking);
    }
    report.note(place.id, outcome);
}

/// The first interruption asks for no more permits, the second one ends the commands.
fn interrupted(context: &Context, stopper: &Stopper) {
    if stopper.said() == Stop::No {
        context.progress.say(
            "interrupted: no more permits are asked for, commands that run may end; once more ends them",
        );
        stopper.stop(Stop::Asking);
    } else {
        context.progress.say("interrupted again: the commands are ended");
        stopper.stop(Stop::Commands);
    }
}
