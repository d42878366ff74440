//! What long work shows while it goes on, on standard error: at a terminal a bar for each part (a backend of a roll, a step of a deploy),
//! elsewhere a line whenever something is new.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _, stderr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Time between two pictures of a bar that turns.
pub(super) const TICK: Duration = Duration::from_millis(100);
/// Longest message of a bar: a line that wraps can't be drawn over. What is longer is also said above the bars, in full.
const MESSAGE_CHARS_MAX: usize = 60;

/// The display of one roll or deploy.
#[derive(Debug)]
pub(crate) struct Progress {
    began: Instant,
    display: Display,
}

#[derive(Debug)]
enum Display {
    Terminal { all: MultiProgress, total: ProgressBar, bars: Mutex<BTreeMap<String, ProgressBar>> },
    Plain,
}

/// Where a part is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step<'a> {
    /// Something is waited for; whether that is news.
    Waits(&'a str, bool),
    /// The next piece of its work begins.
    Does(&'a str),
    /// It is done.
    Back(&'a str),
    /// It was not done, or failed.
    Ended(&'a str),
}

impl Progress {
    /// Shows work of so many parts from now on; `unit` is what they are called.
    pub(crate) fn start(parts: usize, unit: &str) -> Self {
        let display = if stderr().is_terminal() { Display::terminal(parts, unit) } else { Display::Plain };
        Self { began: Instant::now(), display }
    }

    /// Shows where a part is now.
    pub(crate) fn show(&self, part: &str, step: Step<'_>) {
        match &self.display {
            Display::Terminal { all, total, bars } => draw(all, total, bars, part, step),
            Display::Plain => match step {
                Step::Waits(_, false) => {}
                Step::Waits(text, true) | Step::Does(text) | Step::Back(text) | Step::Ended(text) => {
                    self.say(&format!("{part}: {text}"));
                }
            },
        }
    }

    /// Says something that is about no part, or more than a line.
    pub(crate) fn say(&self, text: &str) {
        match &self.display {
            Display::Terminal { all, .. } => {
                // A terminal that can't be written to shows nothing; the report still comes.
                let _ = all.println(text);
            }
            Display::Plain => {
                let seconds = self.began.elapsed().as_secs_f64();
                // Standard error that is closed has no reader to miss the line.
                let _ = writeln!(stderr(), "[{seconds:6.1} s] {text}");
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Display::Terminal { total, bars, .. } = &self.display {
            let bars = bars.lock().unwrap_or_else(PoisonError::into_inner);
            bars.values().filter(|bar| !bar.is_finished()).for_each(ProgressBar::abandon);
            total.finish_and_clear();
        }
    }
}

impl Display {
    fn terminal(parts: usize, unit: &str) -> Self {
        let all = MultiProgress::new();
        let total = all.add(ProgressBar::new(u64::try_from(parts).unwrap_or(u64::MAX)));
        total.set_style(style(&format!("{{bar:30}} {{pos}} of {{len}} {unit}, {{elapsed}}")));
        total.enable_steady_tick(TICK);
        Self::Terminal { all, total, bars: Mutex::default() }
    }
}

fn draw(
    all: &MultiProgress,
    total: &ProgressBar,
    bars: &Mutex<BTreeMap<String, ProgressBar>>,
    part: &str,
    step: Step<'_>,
) {
    let mut bars = bars.lock().unwrap_or_else(PoisonError::into_inner);
    let bar = bars.entry(part.to_owned()).or_insert_with(|| {
        let bar = all.insert_before(total, ProgressBar::new_spinner());
        bar.set_style(style("{spinner} {prefix}  {msg}"));
        bar.set_prefix(part.to_owned());
        bar.enable_steady_tick(TICK);
        bar
    });
    let is_long = |text: &str| text.chars().count() > MESSAGE_CHARS_MAX;
    let short = |text: &str| match is_long(text) {
        true => text.chars().take(MESSAGE_CHARS_MAX - 1).chain(['…']).collect(),
        false => text.to_owned(),
    };
    if let Step::Waits(text, true) | Step::Ended(text) = step
        && is_long(text)
    {
        // As with every line above the bars.
        let _ = all.println(format!("{part}: {text}"));
    }
    match step {
        Step::Waits(text, _) | Step::Does(text) => bar.set_message(short(text)),
        Step::Back(text) => {
            bar.set_style(style("✓ {prefix}  {msg}"));
            bar.finish_with_message(short(text));
            total.inc(1);
        }
        Step::Ended(text) => {
            bar.set_style(style("✗ {prefix}  {msg}"));
            bar.abandon_with_message(short(text));
        }
    }
}

/// All templates are ours; one that doesn't parse leaves the default style.
pub(super) fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
