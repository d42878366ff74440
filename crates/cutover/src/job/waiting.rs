//! What is shown on standard error while one thing is waited for: at a terminal a line that turns, elsewhere a line whenever something is
//! new. Nothing of it is left when the wait is over, but for the lines.

use std::io::{IsTerminal as _, Write as _, stderr};
use std::time::Duration;

use indicatif::ProgressBar;
use tokio::time::{Instant, sleep_until};

use super::progress::{TICK, style};
use super::told::Told;

/// A wait that is over sooner is not worth a word.
pub(crate) const QUIET: Duration = Duration::from_secs(1);

/// The display of one wait.
#[derive(Debug)]
pub(crate) struct Waiting {
    what: String,
    began: Instant,
    told: Told,
    bar: Option<ProgressBar>,
}

impl Waiting {
    /// Waits for `what` from now on, and shows nothing yet.
    pub(crate) fn begin(what: impl Into<String>) -> Self {
        Self { what: what.into(), began: Instant::now(), told: Told::default(), bar: None }
    }

    /// Whether it takes long enough by now to be shown.
    pub(crate) fn is_long(&self) -> bool {
        self.began.elapsed() >= QUIET
    }

    /// Shows how it is with what is waited for.
    pub(crate) fn show(&mut self, state: &str) {
        if stderr().is_terminal() {
            let bar = self.bar.get_or_insert_with(|| turning(self.what.clone(), self.began.elapsed()));
            bar.set_message(state.to_owned());
        } else if self.told.is_news(state, Instant::now()) {
            // Standard error that is closed has no reader to miss the line.
            let _ = writeln!(stderr(), "{} {state}", self.what);
        }
    }

    /// Does `work`, and shows that it goes on if it takes long.
    pub(crate) async fn during<T>(&mut self, state: &str, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = sleep_until(self.began + QUIET) => self.show(state),
        }
        work.await
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A line that turns, for something that has gone on for a while.
fn turning(what: String, since: Duration) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_elapsed(since);
    // A line that wraps can't be drawn over.
    bar.set_style(style("{spinner} {prefix} {wide_msg} {elapsed:>4}"));
    bar.set_prefix(what);
    bar.enable_steady_tick(TICK);
    bar
}
