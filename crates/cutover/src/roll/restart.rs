//! The restart of one backend: its permit, the command, its return.

use std::io;
use std::ops::ControlFlow;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, sleep};

use super::fleet::read_roll;
use super::template::{NoPort, Place, Template};
use crate::ctl::Error;
use crate::ctl::client::{Client, path};
use crate::ctl::permit;
use crate::ctl::view::{Backends, Granted, Roll};
use crate::job::progress::{Progress, Step};
use crate::job::stop::{Stop, Stopped};
use crate::job::told::Told;
use crate::job::{self, Ended, Logs};

/// Time between two looks at a backend that is to come back.
const POLL: Duration = Duration::from_millis(250);
/// Time between two looks whether the roll goes on at all.
const WATCH: Duration = Duration::from_secs(1);
/// Time after a permit's deadline in which the server must have said that it is over.
const SLACK: Duration = Duration::from_secs(60);
/// A restart's time where the server names none.
const RESTART_TIME: Duration = Duration::from_secs(600);

/// What all restarts of a roll share.
#[derive(Debug)]
pub(super) struct Context {
    /// Who is asked.
    pub(super) client: Client,
    /// The service.
    pub(super) service: String,
    /// What restarts a backend.
    pub(super) template: Template,
    /// Where output is kept.
    pub(super) logs: Logs,
    /// What is shown.
    pub(super) progress: Progress,
    /// How much is to stop.
    pub(super) stopped: Stopped,
    /// The longest wait for a permit.
    pub(super) limit: Duration,
    /// Time after which a restart that nobody saw counts as one.
    pub(super) settle: Duration,
    /// Whose turn it is to ask first: in the order of the plan.
    pub(super) turn: Mutex<()>,
    /// The backend that came back last: a roll that does not know it is another one.
    pub(super) last_back: watch::Sender<Option<String>>,
}

/// How the restart of a backend ended.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It is back.
    Back,
    /// It was not restarted: the roll stopped before.
    Left,
    /// It was not restarted, or is not back.
    Failed(Failure),
}

/// Why a backend is not restarted or not back.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// No permit: frozen, refused, or nobody to ask.
    #[error(transparent)]
    NoPermit(#[from] Error),
    /// Somebody ended the roll.
    #[error("the roll was aborted")]
    Aborted,
    /// The command can't be made for this backend.
    #[error(transparent)]
    NoPort(#[from] NoPort),
    /// The command can't be run, or its output can't be kept.
    #[error("the command can't be run: {0}")]
    NotRun(#[source] io::Error),
    /// The command failed.
    #[error(
        "the command ended with {0}; the permit stays until the backend is back, or its deadline freezes the roll"
    )]
    Command(ExitStatus),
    /// The command took longer than the permit lasts.
    #[error("the command was ended after {0:?}, when the permit was over")]
    Late(Duration),
    /// Somebody ended the command.
    #[error("the command was ended")]
    Killed,
    /// The permit is over, and the backend not back.
    #[error("it did not come back: {0}")]
    NotBack(String),
    /// It runs something else than the others.
    #[error("it came back with {version}, the others with {to}")]
    WrongVersion {
        /// What it runs.
        version: String,
        /// What the others run.
        to: String,
    },
}

impl Failure {
    /// Whether there is output of the command to be shown.
    pub(super) const fn has_output(&self) -> bool {
        match self {
            Self::Command(_)
            | Self::Late(_)
            | Self::Killed
            | Self::NotBack(_)
            | Self::WrongVersion { .. } => true,
            Self::NoPermit(_) | Self::Aborted | Self::NoPort(_) | Self::NotRun(_) => false,
        }
    }
}

/// Restarts one backend as soon as it may be.
pub(super) async fn restart(context: Arc<Context>, place: Place) -> (Place, Outcome) {
    let outcome = match carry_out(&context, &place).await {
        Ok(true) => {
            context.progress.show(&place.id, Step::Back("is back"));
            Outcome::Back
        }
        Ok(false) => {
            context.progress.show(&place.id, Step::Ended("is left as it is"));
            Outcome::Left
        }
        Err(failure) => {
            context.progress.show(&place.id, Step::Ended(&failure.to_string()));
            Outcome::Failed(failure)
        }
    };
    (place, outcome)
}

/// Whether it is back, or was left as it is.
async fn carry_out(context: &Context, place: &Place) -> Result<bool, Failure> {
    let Context { client, service, progress, stopped, .. } = context;
    let granted = tokio::select! {
        biased;
        () = stopped.until(Stop::Asking) => None,
        granted = ask(context, &place.id) => Some(granted?),
        () = until_another_roll(context) => return Err(Failure::Aborted),
    };
    let Some(granted) = granted.filter(|_| !stopped.is(Stop::Asking)) else {
        // The server may have granted it, or have begun to drain the backend, while nobody listened any more.
        permit::withdraw(client, service, &place.id).await;
        return Ok(false);
    };
    if is_another_roll(context).await {
        permit::withdraw(client, service, &place.id).await;
        return Err(Failure::Aborted);
    }
    let limit = time_for(&granted);
    let (batch, batches) = (granted.batch, granted.batches);
    progress.show(&place.id, Step::Does(&format!("batch {batch} of {batches}: the command runs")));
    if let Err(failure) = run(context, place, batch, limit).await {
        if matches!(failure, Failure::NoPort(_) | Failure::NotRun(_)) {
            permit::withdraw(client, service, &place.id).await;
        }
        return Err(failure);
    }
    progress.show(&place.id, Step::Does("the command is done, the backend is waited for"));
    until_back(context, &place.id, limit + SLACK).await?;
    Ok(true)
}

async fn ask(context: &Context, backend: &str) -> Result<Granted, Error> {
    let mut told = Told::default();
    let mut turn = Some(context.turn.lock().await);
    let granted =
        permit::wait_for(&context.client, &context.service, backend, context.limit, |state, reasons| {
            turn.take();
            let text = permit::in_words(state, reasons);
            let is_news = told.is_news(&text, Instant::now());
            context.progress.show(backend, Step::Waits(&text, is_news));
            // A frozen roll waits for a person.
            match reasons.iter().any(|reason| reason.code == "roll_frozen") {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
    Ok(granted.await?.0)
}

async fn run(context: &Context, place: &Place, batch: u32, limit: Duration) -> Result<(), Failure> {
    let command = context.template.command(place, batch)?;
    let log = context.logs.append(&place.id).map_err(Failure::NotRun)?;
    let ended = job::run(&command, &[], log, limit, context.stopped.until(Stop::Commands)).await;
    match ended.map_err(Failure::NotRun)? {
        Ended::By(status) if status.success() => Ok(()),
        Ended::By(status) => Err(Failure::Command(status)),
        Ended::Late => Err(Failure::Late(limit)),
        Ended::Killed => Err(Failure::Killed),
    }
}

/// Resolves when somebody ended the roll while a permit is waited for.
async fn until_another_roll(context: &Context) {
    loop {
        sleep(WATCH).await;
        if is_another_roll(context).await {
            return;
        }
    }
}

/// Whether the roll that this one was is over, and asking began another.
async fn is_another_roll(context: &Context) -> bool {
    let last = context.last_back.borrow().clone();
    let Some(last) = last else { return false };
    // A server that can't be asked now was asked a moment ago.
    read_roll(&context.client, &context.service).await.is_ok_and(|roll| !roll.came_back(&last))
}

/// Waits until the permit is over, also while the server can't be reached.
async fn until_back(context: &Context, backend: &str, limit: Duration) -> Result<(), Failure> {
    let began = Instant::now();
    let deadline = began + limit;
    loop {
        match read_roll(&context.client, &context.service).await {
            Ok(roll) if roll.permit(backend).is_some() => {
                if began.elapsed() >= context.settle && is_up(context, backend).await {
                    context.progress.say(&format!(
                        "{backend} is up, and nobody saw its restart (the version is the same, and no boot id tells): \
                         its permit is given back"
                    ));
                    permit::withdraw(&context.client, &context.service, backend).await;
                    return Ok(());
                }
            }
            Ok(roll) if roll.came_back(backend) => {
                context.last_back.send_replace(Some(backend.to_owned()));
                return with_its_version(&roll, backend);
            }
            Ok(roll) => {
                let reason = roll.summary.reason.filter(|reason| !reason.is_empty());
                let reason = reason.unwrap_or_else(|| "its permit was given back or aborted".to_owned());
                return Err(Failure::NotBack(reason));
            }
            Err(error) if error.is_passing() => {}
            Err(error) => return Err(error.into()),
        }
        if Instant::now() >= deadline {
            return Err(Failure::NotBack(format!("the server does not say so after {limit:?}")));
        }
        tokio::select! {
            () = sleep(POLL) => {}
            () = context.stopped.until(Stop::Commands) => {
                return Err(Failure::NotBack("it was no longer waited for".to_owned()));
            }
        }
    }
}

/// Whether a backend answers, and which version is known.
async fn is_up(context: &Context, backend: &str) -> bool {
    let path = path(&["services", &context.service, "backends"]);
    let Ok((_, found)) = context.client.read::<Backends>(&path).await else { return false };
    let found = found.backends.iter().find(|candidate| candidate.id == backend);
    found.is_some_and(|found| found.operational == "up" && found.identity.state == "known")
}

/// Whether a backend came back with the version that the others came back with.
fn with_its_version(roll: &Roll, backend: &str) -> Result<(), Failure> {
    let version = roll.backend(backend).and_then(|backend| backend.version.clone());
    match (version, &roll.to) {
        (Some(version), Some(to)) if version != *to => Err(Failure::WrongVersion { version, to: to.clone() }),
        _ => Ok(()),
    }
}

/// How long a restart may take. Both times are the server's, whose clock may be another than ours.
fn time_for(granted: &Granted) -> Duration {
    let parse = |text: &Option<String>| text.as_deref()?.parse::<jiff::Timestamp>().ok();
    match (parse(&granted.granted_at), parse(&granted.deadline)) {
        (Some(granted), Some(deadline)) => {
            Duration::try_from(deadline.duration_since(granted)).unwrap_or(RESTART_TIME)
        }
        _ => RESTART_TIME,
    }
}
