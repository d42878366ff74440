//! How a run is to be: how long, which plan, where its files go.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Seconds of a run of the ordinary tests: a few of the kinds of chaos.
const SMOKE_SECS: u64 = 7;
/// From here on a run has everything in it; below, what takes its time is left out.
const FULL: Duration = Duration::from_secs(120);

/// Told by the environment.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Of the chaos: preparing and ending come on top.
    pub(crate) length: Duration,
    pub(crate) seed: u64,
    /// Logs, curves, picture and report.
    pub(crate) out: PathBuf,
    /// Whether somebody asked for those files.
    pub(crate) is_kept: bool,
}

impl Options {
    pub(crate) fn from_environment() -> Self {
        let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let seed = number("CUTOVER_SOAK_SEED").unwrap_or(u64::from(now.subsec_micros()) + now.as_secs());
        let asked = std::env::var_os("CUTOVER_SOAK_OUT").map(PathBuf::from);
        let is_kept = asked.is_some();
        let own =
            || PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("soak-{seed}-{}", now.as_millis()));
        let out = asked.unwrap_or_else(own);
        let length = Duration::from_secs(number("CUTOVER_SOAK_SECONDS").unwrap_or(SMOKE_SECS));
        Self { length, seed, out, is_kept }
    }

    /// Whether there is time for everything.
    pub(crate) fn is_full(&self) -> bool {
        self.length >= FULL
    }
}
