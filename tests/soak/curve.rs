//! The curves of a run: memory and descriptors of the process that serves, second by second.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::run::Run;

/// Between two looks.
const STEP: Duration = Duration::from_secs(1);

/// One look at a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    /// Since the beginning of the run.
    pub(crate) at: Duration,
    pub(crate) pid: u32,
    /// proc(5): `VmRSS`.
    pub(crate) rss_kib: u64,
    pub(crate) descriptors: u64,
}

/// Looks every second until visitors leave.
pub(crate) async fn follow(run: &Run) -> Vec<Sample> {
    let mut samples = Vec::new();
    let mut next = Instant::now();
    while !run.is_closed() {
        samples.extend(look(run));
        next += STEP;
        tokio::time::sleep_until(next.into()).await;
    }
    samples
}

/// Looks once; nothing while there is no process.
pub(crate) fn look(run: &Run) -> Option<Sample> {
    let pid = run.pid();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let rss_kib = rss.split_ascii_whitespace().next()?.parse().ok()?;
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as u64;
    Some(Sample { at: run.began.elapsed(), pid, rss_kib, descriptors })
}

/// As a table for whoever wants to draw them otherwise.
pub(crate) fn csv(samples: &[Sample]) -> String {
    let mut text = "seconds,pid,rss_kib,descriptors\n".to_owned();
    for sample in samples {
        let seconds = sample.at.as_secs_f64();
        let _ = writeln!(text, "{seconds:.1},{},{},{}", sample.pid, sample.rss_kib, sample.descriptors);
    }
    text
}
