//! Deployments, many of each kind.

use cutover_core::answers::Tally;
use cutover_core::judge::{Baseline, Fault, Watch};
use cutover_core::policy::BakePolicy;

use crate::app::{App, Manner};

/// Deployments of each kind.
pub(crate) const RUNS: u64 = 400;
/// The old version was watched for five minutes before the flip.
const BASELINE_SECONDS: u32 = 300;
/// The default of `bake.duration`.
const BAKE_SECONDS: u32 = 300;

/// What came of many deployments.
#[derive(Debug)]
pub(crate) struct Trial {
    /// After how many seconds the new version was judged bad, in order, and why.
    pub(crate) bad: Vec<(u32, Fault)>,
}

impl Trial {
    /// Deploys a version of the manner `new` in place of one of the manner `old`, again and again.
    pub(crate) fn of(old: Manner, new: Manner) -> Self {
        Self::under(BakePolicy::default(), old, new)
    }

    pub(crate) fn under(policy: BakePolicy, old: Manner, new: Manner) -> Self {
        let mut bad: Vec<_> = (0..RUNS).filter_map(|seed| deploy(&policy, old, new, seed)).collect();
        bad.sort_by_key(|(second, _)| *second);
        Self { bad }
    }

    /// Lets a version of the manner `new` be the canary beside one that answered in the manner `old`, and in the manner `meanwhile` from then on.
    pub(crate) fn canary(old: Manner, meanwhile: Manner, new: Manner) -> Self {
        let mut bad: Vec<_> = (0..RUNS).filter_map(|seed| accompany(old, meanwhile, new, seed)).collect();
        bad.sort_by_key(|(second, _)| *second);
        Self { bad }
    }

    /// Says what was measured, for the docs.
    pub(crate) fn tell(self, what: &str) -> Self {
        let (median, most) = (self.second(0.5), self.second(1.0));
        println!(
            "{what}: {} of {RUNS} judged bad, half after {median:?} s, all after {most:?} s",
            self.bad.len()
        );
        self
    }

    /// In at most 1 % of the deployments the new version was judged bad.
    pub(crate) fn assert_rarely_bad(&self) {
        assert!(
            self.bad.len() as u64 <= RUNS / 100,
            "{} of {RUNS}, first {:?}",
            self.bad.len(),
            self.bad.first()
        );
    }

    /// In all deployments the new version was judged bad, in half of them after so many seconds at most.
    pub(crate) fn assert_bad_within(&self, median: u32) {
        assert_eq!(self.bad.len() as u64, RUNS, "judged bad");
        assert!(self.second(0.5).unwrap() <= median, "{:?}", self.second(0.5));
    }

    /// After how many seconds such a share of all deployments was judged bad; `None` when fewer were.
    pub(crate) fn second(&self, share: f64) -> Option<u32> {
        let at = (share * RUNS as f64).ceil() as usize;
        self.bad.get(at.saturating_sub(1)).map(|(second, _)| *second)
    }
}

/// How the old version answered.
pub(crate) fn baseline(app: &mut App) -> Baseline {
    let mut total = Tally::default();
    (0..BASELINE_SECONDS).for_each(|_| total.add(&app.second()));
    (&total).into()
}

fn deploy(policy: &BakePolicy, old: Manner, new: Manner, seed: u64) -> Option<(u32, Fault)> {
    let baseline = baseline(&mut App::new(old, 2 * seed + 1));
    let (mut app, mut watch) = (App::new(new, 2 * seed + 2), Watch::default());
    (1..=BAKE_SECONDS).find_map(|at| Some((at, watch.observe(&app.second(), &baseline, policy)?)))
}

fn accompany(old: Manner, meanwhile: Manner, new: Manner, seed: u64) -> Option<(u32, Fault)> {
    let before = baseline(&mut App::new(old, 3 * seed + 1));
    let (mut active, mut canary) = (App::new(meanwhile, 3 * seed + 2), App::new(new, 3 * seed + 3));
    let (mut total, mut watch) = (Tally::default(), Watch::default());
    (1..=BAKE_SECONDS).find_map(|at| {
        total.add(&active.second());
        let baseline = Baseline::at_worst(before, (&total).into());
        Some((at, watch.observe(&canary.second(), &baseline, &BakePolicy::default())?))
    })
}
