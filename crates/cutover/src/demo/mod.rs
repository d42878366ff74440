//! `cutover demo`: a fleet is upgraded under load behind a real cutover, and what its visitors met is counted.
//!
//! Everything is real: app servers and cutover are processes of their own, visitors speak HTTP over loopback, the upgrade
//! is a loop that asks for a permit before each restart, as a deploy script would. `halves` is the show, `operator` who flips in it,
//! `compare` the same loop behind plain round robin, `session` a visitor, `judge` the verdict, `report` the end.

mod admin;
pub mod app;
mod browser;
mod compare;
mod dice;
mod error;
mod fleet;
mod halves;
mod http;
mod judge;
mod lease;
pub mod leash;
mod live;
mod load;
mod operator;
mod port;
mod process;
mod progress;
mod proxy;
mod release;
mod report;
mod session;
mod stage;
mod trace;
mod wait;

use std::{
    io::{Write as _, stderr, stdout},
    process::ExitCode,
};

use tokio::{
    signal::unix::{SignalKind, signal},
    time::Instant,
};

pub use self::error::Error;
use self::{fleet::Fleet, process::Scratch, progress::Progress, proxy::Proxy, report::Report, stage::Stage};

/// Lines of cutover's log that are shown when the demo breaks.
const LOG_LINES: usize = 30;
/// The exit code of a program that Ctrl-C stopped, as shells count.
const INTERRUPTED: u8 = 130;

/// How the demo is played: `cutover demo`.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Print the report as one JSON object
    #[arg(long)]
    pub json: bool,
    /// Visitors at any time
    #[arg(long, default_value_t = 300, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=5000))]
    pub sessions: u32,
    /// App servers
    #[arg(long, default_value_t = 6, value_name = "N", value_parser = clap::value_parser!(u8).range(2..=32))]
    pub backends: u8,
    /// Seconds for which the visitors are watched between two steps
    #[arg(long, default_value_t = 3, value_name = "S", value_parser = clap::value_parser!(u64).range(1..=60))]
    pub seconds: u64,
    /// Keep the temporary directory with configuration, state and logs
    #[arg(long)]
    pub keep: bool,
}

/// Plays the demo and prints its report.
///
/// Success if no request failed, no session mixed versions or went back, none began on an old version after a flip, and no server of the
/// old version restarted after the flip before that was drained; 130 if a signal ended it. However it ends, what it started is stopped.
pub async fn run(options: Options) -> Result<ExitCode, Error> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::system("listen for signals"))?;
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::system("listen for signals"))?;
    let scratch = Scratch::create(options.keep)?;
    let mut cast = Cast::default();
    let played = tokio::select! {
        played = Box::pin(play(&options, &scratch, &mut cast)) => played.map(Some),
        _ = interrupt.recv() => Ok(None),
        _ = terminate.recv() => Ok(None),
    };
    cast.kill().await;
    if played.is_err() {
        show_log(&scratch);
    }
    if let Some(path) = scratch.kept() {
        say(&format!("configuration, state and logs are in {}", path.display()));
    }
    let Some(report) = played? else {
        say("stopped");
        return Ok(ExitCode::from(INTERRUPTED));
    };
    let text = if options.json { format!("{:#}\n", report.to_json()) } else { report.to_string() };
    stdout().lock().write_all(text.as_bytes()).map_err(Error::system("write the report"))?;
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Every process that the demo starts.
#[derive(Debug, Default)]
struct Cast {
    fleet: Fleet,
    proxy: Option<Proxy>,
}

impl Cast {
    /// Ends what still runs.
    async fn kill(&mut self) {
        if let Some(proxy) = &mut self.proxy {
            proxy.kill().await;
        }
        self.fleet.kill().await;
    }
}

async fn play(options: &Options, scratch: &Scratch, cast: &mut Cast) -> Result<Report, Error> {
    let began = Instant::now();
    let progress = Progress::start();
    progress.step("app servers and cutover start");
    let fleet = &mut cast.fleet;
    fleet.start(options.backends.into(), scratch).await?;
    let proxy = cast.proxy.insert(Proxy::start(scratch)?);
    proxy.ready().await?;
    let mut stage =
        Stage { options, progress: &progress, proxy: proxy.address(), admin: proxy.admin(), fleet };
    let (show, comparison) = tokio::select! {
        both = Box::pin(both(&mut stage)) => both?,
        lost = proxy.lost() => return Err(lost),
    };
    progress.step("everything stops");
    proxy.stop().await?;
    stage.fleet.stop().await?;
    Ok(Report { show, comparison, took: began.elapsed() })
}

async fn both(stage: &mut Stage<'_>) -> Result<(halves::Show, compare::Comparison), Error> {
    let show = halves::play(stage).await?;
    let comparison = compare::play(stage, show.release).await?;
    Ok((show, comparison))
}

fn show_log(scratch: &Scratch) {
    let tail = scratch.tail(proxy::LOG, LOG_LINES);
    if !tail.is_empty() {
        say(&format!("the end of cutover's log:\n  {}", tail.join("\n  ")));
    }
}

fn say(line: &str) {
    // Standard error that is closed has no reader to miss the line.
    let _ = writeln!(stderr(), "{line}");
}
