//! The counters of a run: for each guarantee how often it was looked at, what was excused, and what broke it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Violations that are kept in words, of each guarantee.
const EXPLAINED_MAX: usize = 20;

/// What semantics promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Guarantee {
    OneVersion,
    NeverBack,
    WrongVersion,
    OneStep,
    Dropped,
    Lost,
    Drained,
}

/// All counters.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) requests: u64,
    pub(crate) visits: u64,
    pub(crate) by_protocol: BTreeMap<&'static str, u64>,
    /// How often each kind of chaos came.
    pub(crate) acts: BTreeMap<String, u64>,
    /// What a connection that was closed at that moment had not begun with, and its client sent again.
    pub(crate) sent_again: u64,
    /// How long the machine did nothing for this run that it should have done.
    pub(crate) stood_still: Duration,
    counts: BTreeMap<Guarantee, Count>,
    /// What was found beside the guarantees: what did not recover, what panicked, what grew.
    pub(crate) findings: Vec<String>,
    news: Vec<(Guarantee, Instant, String)>,
}

/// Of one guarantee.
#[derive(Clone, Debug, Default)]
pub(crate) struct Count {
    pub(crate) checked: u64,
    pub(crate) violations: u64,
    /// What would have been a violation, by what excuses it.
    pub(crate) excused: BTreeMap<&'static str, u64>,
}

impl Guarantee {
    pub(crate) const ALL: [Self; 7] = [
        Self::OneVersion,
        Self::NeverBack,
        Self::WrongVersion,
        Self::OneStep,
        Self::Dropped,
        Self::Lost,
        Self::Drained,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OneVersion => "G1 one version per session",
            Self::NeverBack => "G2 never back",
            Self::WrongVersion => "G3 no wrong-version answer",
            Self::OneStep => "G4 the switch is one step",
            Self::Dropped => "G5 nothing dropped",
            Self::Lost => "G6 nothing lost",
            Self::Drained => "G7 drained means drained",
        }
    }
}

impl Tally {
    pub(crate) fn check(&mut self, of: Guarantee, holds: bool, at: Instant, what: impl FnOnce() -> String) {
        self.check_unless(None, of, holds, at, what);
    }

    /// The same, where there may be a reason for which it need not hold.
    pub(crate) fn check_unless(
        &mut self,
        reason: Option<&'static str>,
        of: Guarantee,
        holds: bool,
        at: Instant,
        what: impl FnOnce() -> String,
    ) {
        let count = self.counts.entry(of).or_default();
        count.checked += 1;
        match (holds, reason) {
            (true, _) => {}
            (false, Some(reason)) => *count.excused.entry(reason).or_default() += 1,
            (false, None) => {
                count.violations += 1;
                if count.violations <= EXPLAINED_MAX as u64 {
                    self.news.push((of, at, what()));
                }
            }
        }
    }

    /// So many times it was looked at and held.
    pub(crate) fn check_many(&mut self, of: Guarantee, times: u64) {
        self.counts.entry(of).or_default().checked += times;
    }

    pub(crate) fn count(&self, of: Guarantee) -> Count {
        self.counts.get(&of).cloned().unwrap_or_default()
    }

    /// Violations since this was asked last.
    pub(crate) fn news(&mut self) -> Vec<(Guarantee, Instant, String)> {
        std::mem::take(&mut self.news)
    }

    pub(crate) fn violations(&self) -> u64 {
        self.counts.values().map(|count| count.violations).sum()
    }
}
