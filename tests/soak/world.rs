//! What was done to the fleet, and when: all that the judge knows beside what visitors met.
//!
//! Everything is written down before it is begun and after it was answered, so that what lies between may count for either.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The log of a run. Small: an entry for each change and each piece of chaos.
#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    changes: Vec<Change>,
    troubles: Vec<Trouble>,
    tenancies: BTreeMap<String, Vec<Tenancy>>,
    proofs: Vec<Proof>,
    /// How long a version serves its pins after a flip.
    deadline: Duration,
}

/// A change that was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) kind: ChangeKind,
    /// The version that new sessions get before it, and whose sessions may have to move.
    pub(crate) from: String,
    /// The version that new sessions get after it.
    pub(crate) to: String,
    pub(crate) called: Instant,
    /// While it is not known whether it happened, none.
    pub(crate) answered: Option<Instant>,
    is_refused: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    Flip,
    Rollback,
    /// `to` gets a share of the sessions.
    Canary,
    /// `from` has a share no more.
    CanaryEnd,
    /// The drain of `from` ends.
    Evict,
}

/// Something that breaks, from its beginning until everything is well again.
#[derive(Clone, Debug)]
pub(crate) struct Trouble {
    pub(crate) whose: Whose,
    pub(crate) from: Instant,
    pub(crate) until: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// It is dead, and not ready again.
    Cutover,
    /// It may open no more descriptors.
    Descriptors,
    /// Servers ended without asking: what they were at is lost.
    Died,
    /// Servers do not answer, and nobody can know why.
    Silent,
    /// The time of day stepped.
    Clock,
    /// The machine stood still: processes that could work did not.
    Machine,
}

/// A server that is known to be well, with one version.
#[derive(Clone, Debug)]
struct Tenancy {
    version: String,
    from: Instant,
    until: Option<Instant>,
}

/// `drained` by proof was answered.
#[derive(Clone, Debug)]
struct Proof {
    version: String,
    asked: Instant,
    answered: Instant,
}

/// Which entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry(usize);

impl World {
    /// Of a service with this `drain.deadline`.
    pub(crate) fn new(deadline: Duration) -> Self {
        Self { deadline, ..Self::default() }
    }

    /// A change is about to be asked for.
    pub(crate) fn call(&mut self, kind: ChangeKind, from: &str, to: &str) -> Entry {
        let (from, to) = (from.to_owned(), to.to_owned());
        self.changes.push(Change {
            kind,
            from,
            to,
            called: Instant::now(),
            answered: None,
            is_refused: false,
        });
        Entry(self.changes.len() - 1)
    }

    /// It happened: it was answered, or is found done.
    pub(crate) fn happened(&mut self, change: Entry) {
        self.changes[change.0].answered.get_or_insert_with(Instant::now);
    }

    /// It was refused, or is found not done: it counts for nothing.
    pub(crate) fn refused(&mut self, change: Entry) {
        self.changes[change.0].is_refused = true;
    }

    pub(crate) fn begin(&mut self, whose: Whose) -> Entry {
        self.troubles.push(Trouble { whose, from: Instant::now(), until: None });
        Entry(self.troubles.len() - 1)
    }

    pub(crate) fn end(&mut self, trouble: Entry) {
        self.troubles[trouble.0].until = Some(Instant::now());
    }

    /// The machine stood still since then.
    pub(crate) fn stood_still(&mut self, from: Instant) {
        let until = Some(Instant::now());
        match self.troubles.iter_mut().rfind(|trouble| trouble.whose == Whose::Machine) {
            // One after the other is one: the list stays short however busy the machine is.
            Some(last) if last.until.is_some_and(|until| until + SPREAD >= from) => last.until = until,
            _ => self.troubles.push(Trouble { whose: Whose::Machine, from, until }),
        }
    }

    /// A server is well from now on.
    pub(crate) fn settle(&mut self, server: &str, version: &str) {
        self.unsettle(server);
        let tenancy = Tenancy { version: version.to_owned(), from: Instant::now(), until: None };
        self.tenancies.entry(server.to_owned()).or_default().push(tenancy);
    }

    /// A server is about to be ended, drained or cut off.
    pub(crate) fn unsettle(&mut self, server: &str) {
        if let Some(last) = self.tenancies.entry(server.to_owned()).or_default().last_mut() {
            last.until.get_or_insert_with(Instant::now);
        }
    }

    /// `drained` by proof was answered, to somebody who asked at `asked`.
    pub(crate) fn prove(&mut self, version: &str, asked: Instant) {
        self.proofs.push(Proof { version: version.to_owned(), asked, answered: Instant::now() });
    }

    /// What was asked for, unless it was refused.
    fn changes(&self) -> impl DoubleEndedIterator<Item = &Change> {
        self.changes.iter().filter(|change| !change.is_refused)
    }

    pub(crate) fn proofs(&self) -> usize {
        self.proofs.len()
    }

    /// Whether there was trouble of this kind in that time.
    pub(crate) fn had(&self, whose: Whose, from: Instant, to: Instant) -> bool {
        self.troubles.iter().any(|trouble| {
            trouble.whose == whose && trouble.from <= to && trouble.until.is_none_or(|until| until >= from)
        })
    }

    /// Whether trouble of this kind began in that time, or shortly before it.
    pub(crate) fn had_just(&self, whose: Whose, from: Instant, to: Instant, shortly: Duration) -> bool {
        self.troubles
            .iter()
            .any(|trouble| trouble.whose == whose && trouble.from <= to && trouble.from + shortly >= from)
    }

    /// Whether a server of this version was asked to end, or ended, in that time.
    pub(crate) fn lost_one(&self, version: &str, from: Instant, to: Instant) -> bool {
        let is_lost = |tenancy: &Tenancy| {
            tenancy.version == version && tenancy.until.is_some_and(|until| until >= from && until <= to)
        };
        self.tenancies.values().flatten().any(is_lost)
    }

    /// Every version that a new session may get which asks at `sent` and is answered at `answered`.
    pub(crate) fn allowed(&self, sent: Instant, answered: Instant) -> Vec<&str> {
        let switches = || {
            self.changes().filter(|change| {
                matches!(change.kind, ChangeKind::Flip | ChangeKind::Rollback) && change.called <= answered
            })
        };
        let before = switches().rfind(|change| change.answered.is_some_and(|at| at <= sent));
        let meanwhile = switches().filter(|change| change.answered.is_none_or(|at| at > sent));
        let canaries = self.canaries(sent, answered);
        before
            .map(|change| change.to.as_str())
            .into_iter()
            .chain(meanwhile.map(|change| change.to.as_str()))
            .chain(canaries)
            .collect()
    }

    /// Why a session may have left `version` between a request that was sent at `from` and an answer at `to`, if it may.
    pub(crate) fn may_leave(&self, version: &str, from: Instant, to: Instant) -> Option<&'static str> {
        let asked = self.changes().find_map(|change| {
            let is_near = change.called <= to && change.answered.is_none_or(|at| at + SPREAD >= from);
            let is_over = change.called + self.deadline <= to;
            let why = match change.kind {
                ChangeKind::Rollback if is_near => "rolled back",
                ChangeKind::CanaryEnd if is_near => "the canary ended",
                ChangeKind::Evict if is_near => "evicted",
                ChangeKind::Flip if is_over => "at the deadline of its drain",
                _ => return None,
            };
            (change.from == version && change.from != change.to).then_some(why)
        });
        let lacks = || self.may_lack(version, from, to).then_some("no server was surely well");
        let stepped = || self.had(Whose::Clock, from, to).then_some("the clock stepped");
        asked.or_else(lacks).or_else(stepped)
    }

    /// Whether there may have been a moment in that time without a usable server of this version.
    pub(crate) fn may_lack(&self, version: &str, from: Instant, to: Instant) -> bool {
        let is_well = |tenancy: &Tenancy| {
            tenancy.version == version && tenancy.from <= from && tenancy.until.is_none_or(|until| until > to)
        };
        !self.tenancies.values().flatten().any(is_well)
    }

    /// Whether `version` was said to be drained by proof before `sent`, and nobody asked for it since.
    pub(crate) fn is_proven_unused(&self, version: &str, sent: Instant, answered: Instant) -> bool {
        let last = self.proofs.iter().rfind(|proof| proof.version == version && proof.answered <= sent);
        let is_revived = |proof: &Proof| {
            let wanted = |change: &Change| change.to == version && change.called <= answered;
            // One that was answered before the proof was asked for belongs to the life that the proof is about.
            self.changes().any(|change| wanted(change) && change.answered.is_none_or(|at| at >= proof.asked))
        };
        last.is_some_and(|proof| !is_revived(proof))
    }

    fn canaries(&self, sent: Instant, answered: Instant) -> impl Iterator<Item = &str> {
        let begun = self
            .changes()
            .filter(move |change| change.kind == ChangeKind::Canary && change.called <= answered);
        let is_over = move |begun: &Change| {
            self.changes().any(|later| {
                later.kind == ChangeKind::CanaryEnd
                    && later.from == begun.to
                    && later.called >= begun.called
                    && later.answered.is_some_and(|at| at <= sent)
            })
        };
        begun.filter(move |change| !is_over(change)).map(|change| change.to.as_str())
    }
}

/// How long sessions take to be told that they have to move, and what tells them to be read.
const SPREAD: Duration = Duration::from_secs(4);
