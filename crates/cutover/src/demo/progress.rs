//! What the demo shows while it runs, on standard error: the step it is at, and the traffic.
//!
//! Every step is a line. On a terminal the traffic stays below them; elsewhere it is a line now and then.

use std::{
    io::{IsTerminal as _, Write as _, stderr},
    sync::Arc,
    time::Duration,
};

use indicatif::ProgressBar;
use tokio::{task::AbortHandle, time::Instant};

use super::{
    live::{Live, Reading},
    release::Release,
    session::Site,
};

/// Time between two looks at the traffic on a terminal, and elsewhere.
const EVERY_ON_TERMINAL: Duration = Duration::from_millis(250);
const EVERY_ELSEWHERE: Duration = Duration::from_secs(5);
/// Width of the bar that shows how the answers are shared by the versions.
const BAR_CELLS: u64 = 30;

/// The display. Dropping it leaves the terminal clean.
#[derive(Debug)]
pub(super) struct Progress {
    began: Instant,
    display: Display,
}

#[derive(Debug)]
enum Display {
    Terminal(ProgressBar),
    Plain,
}

/// Shows the traffic of one load until it is dropped.
#[derive(Debug)]
pub(super) struct Traffic {
    ticker: AbortHandle,
    bar: Option<ProgressBar>,
}

impl Progress {
    pub(super) fn start() -> Self {
        let display = if stderr().is_terminal() { Display::terminal() } else { Display::Plain };
        Self { began: Instant::now(), display }
    }

    /// Says what happens now.
    pub(super) fn step(&self, what: &str) {
        let line = format!("[{:5.1} s] {what}", self.began.elapsed().as_secs_f64());
        match &self.display {
            Display::Terminal(traffic) => traffic.println(line),
            Display::Plain => say(&line),
        }
    }

    /// Shows the traffic of a load until the answer is dropped.
    pub(super) fn traffic(&self, site: &Arc<Site>, sessions: u32) -> Traffic {
        let bar = match &self.display {
            Display::Terminal(traffic) => Some(traffic.clone()),
            Display::Plain => None,
        };
        let ticker = tokio::spawn(watch(Arc::clone(site), sessions, bar.clone())).abort_handle();
        Traffic { ticker, bar }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Display::Terminal(traffic) = &self.display {
            traffic.finish_and_clear();
        }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.ticker.abort();
        if let Some(bar) = &self.bar {
            bar.set_message("");
        }
    }
}

impl Display {
    fn terminal() -> Self {
        let traffic = ProgressBar::new_spinner();
        traffic.enable_steady_tick(Duration::from_millis(100));
        Self::Terminal(traffic)
    }
}

async fn watch(site: Arc<Site>, sessions: u32, bar: Option<ProgressBar>) {
    let every = if bar.is_some() { EVERY_ON_TERMINAL } else { EVERY_ELSEWHERE };
    let mut last = Reading::default();
    loop {
        tokio::time::sleep(every).await;
        let now = Live::read(&site.live);
        let line = line(sessions, &last, &now, every);
        match &bar {
            Some(bar) => bar.set_message(line),
            None => say(&format!("          {line}")),
        }
        last = now;
    }
}

/// One line on the traffic since the last reading.
fn line(sessions: u32, last: &Reading, now: &Reading, every: Duration) -> String {
    let rate = (now.requests - last.requests) as f64 / every.as_secs_f64();
    let answers =
        std::array::from_fn::<_, { Release::COUNT }, _>(|index| now.answers[index] - last.answers[index]);
    let total = answers.iter().sum::<u64>().max(1);
    let shares =
        Release::all().map(|release| (release, answers[release.index()])).filter(|(_, count)| *count > 0);
    let shares =
        shares.map(|(release, count)| format!("{release} {} {}%", bar(count, total), count * 100 / total));
    let shares = shares.collect::<Vec<_>>().join("  ");
    let missing = match now.assets_missing {
        0 => String::new(),
        count => format!(", {count} assets 404"),
    };
    format!("{sessions} visitors · {rate:.0} req/s · {} failed{missing} · {shares}", now.failures)
}

fn bar(count: u64, total: u64) -> String {
    (0..(count * BAR_CELLS).div_ceil(total)).map(|_| '█').collect()
}

fn say(line: &str) {
    // Standard error that is closed has no reader to miss the line.
    let _ = writeln!(stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_traffic_line_shows_each_versions_share_of_the_last_answers() {
        let mut now = Reading { requests: 120, failures: 3, assets_missing: 2, ..Reading::default() };
        let last = Reading { requests: 20, ..Reading::default() };
        now.answers[1] = 75;
        now.answers[2] = 25;

        let line = line(300, &last, &now, Duration::from_secs(1));

        assert!(line.starts_with("300 visitors · 100 req/s · 3 failed, 2 assets 404 · v1 █"), "{line}");
        assert!(line.contains("75%") && line.ends_with("25%"), "{line}");
    }
}
