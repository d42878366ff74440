//! What is owed to hooks: whom a flip in mode `auto` waits for, which calls are not delivered yet, and how the latest ones ended.
//!
//! It is part of the state, and so of the store: whoever makes the calls reads here what they are, and loses none in a crash.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::bake::{self, Bake};
use crate::id::{Epoch, VersionLabel};
use crate::policy::{Hook, HookPoint, HookUrl};
use crate::rejected::{Code, Reason};
use crate::service::Service;
use crate::time::{Millis, Timestamp};

/// Most calls that are owed for one service. Beyond, the oldest is given up: its receiver was away for longer than anybody waits.
pub const OWED_MAX: usize = 256;
/// How many ended calls of one service are remembered.
pub const RECENT_MAX: usize = 16;
/// How long the leave of the `pre_flip` hooks lasts. What they looked at changes.
pub const LEAVE_LASTS: Millis = Millis::from_secs(300);

/// What is known of the hooks of one service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hooks {
    /// What the `pre_flip` hooks were asked last, unless a version became active since.
    pub asked: Option<Asked>,
    /// Calls that are not delivered yet, by their numbers.
    pub owed: BTreeMap<u64, Arc<Owed>>,
    /// How the latest calls ended, oldest first.
    pub recent: Vec<Arc<Ended>>,
    /// The number of the next call that is owed or has ended.
    pub next: u64,
}

/// A turn of a deployment, as hooks are told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// Which.
    pub on: HookPoint,
    /// The version that it is about: the one that is or becomes active, has drained, or was baked.
    pub version: VersionLabel,
    /// The version that was active before, if it is about a switch.
    pub from: Option<VersionLabel>,
    /// The epoch that began, or would begin.
    pub epoch: Epoch,
    /// When.
    pub at: Timestamp,
}

/// A call that is not delivered yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owed {
    /// What it tells of.
    pub turn: Turn,
    /// To whom.
    pub url: HookUrl,
}

/// What the `pre_flip` hooks were asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The version that is to become active.
    pub to: VersionLabel,
    /// The epoch in which they were asked.
    pub epoch: Epoch,
    /// When they were asked, and when they answered, once they did.
    pub at: Timestamp,
    /// What came of it.
    pub answer: Leave,
}

/// What `pre_flip` hooks answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leave {
    /// Nothing yet.
    Awaited,
    /// The flip may be made.
    Given,
    /// It may not, or one of them could not be asked.
    Refused(String),
}

/// A call that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Its place among those of the service.
    pub number: u64,
    /// What it told of.
    pub turn: Turn,
    /// Whom it told; only the origin of the URL.
    pub origin: String,
    /// Whether it was taken (2xx).
    pub is_delivered: bool,
    /// The last status, if there was an answer.
    pub status: Option<u16>,
    /// How often it was tried.
    pub tries: u32,
    /// How long that took altogether.
    pub took: Millis,
    /// What was answered last, or why nothing was.
    pub said: String,
}

/// What whoever makes the calls has to report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HookReport {
    /// A call that was owed has ended.
    Ended {
        /// The number under which it was owed.
        owed: u64,
        /// How.
        call: Ended,
    },
    /// The `pre_flip` hooks were asked.
    Answered {
        /// The version that is to become active.
        to: VersionLabel,
        /// The epoch in which they were asked.
        epoch: Epoch,
        /// How the calls ended.
        calls: Vec<Ended>,
        /// What came of it; the reason why not, otherwise.
        leave: Result<(), String>,
    },
}

/// The hooks of a service for one turn.
pub fn of(service: &Service, on: HookPoint) -> impl Iterator<Item = &Hook> {
    service.policy.hooks.iter().filter(move |hook| hook.on == on)
}

/// What the `pre_flip` hooks of a service would be told of a flip to `to` now.
#[must_use]
pub fn flip_turn(service: &Service, to: &VersionLabel, at: Timestamp) -> Turn {
    Turn {
        on: HookPoint::PreFlip,
        version: to.clone(),
        from: service.active.clone(),
        epoch: service.epoch.next(),
        at,
    }
}

/// Whether the `pre_flip` hooks of a service have to be asked before a flip to `to`. The first activation waits for nobody.
#[must_use]
pub fn must_ask(service: &Service, to: &VersionLabel, now: Timestamp) -> bool {
    let has_hooks = of(service, HookPoint::PreFlip).next().is_some();
    let has_leave = asked(service, to)
        .is_some_and(|asked| asked.answer == Leave::Given && now.since(asked.at) < LEAVE_LASTS);
    has_hooks && service.active.is_some() && !has_leave
}

/// That they have to be asked, as a reason against a flip.
pub(crate) fn unasked(to: &VersionLabel) -> Reason {
    Reason::new(Code::HookUnasked, format!("the pre_flip hooks have not been asked about version {to} yet"))
}

/// Whether a flip by itself to `to` has to wait for the hooks' answer, or was refused by them.
pub(crate) fn is_held_up(service: &Service, to: &VersionLabel) -> bool {
    must_ask_at_all(service) && asked(service, to).is_some_and(|asked| asked.answer != Leave::Given)
}

/// Has the `pre_flip` hooks asked about a flip to `to`.
pub(crate) fn ask(service: &mut Service, to: VersionLabel, now: Timestamp) {
    let epoch = service.epoch;
    service.hooks.asked = Some(Asked { to, epoch, at: now, answer: Leave::Awaited });
}

/// Takes back that the hooks refused a version. Answers whether they had.
pub(crate) fn forgive(service: &mut Service, label: &VersionLabel) -> bool {
    let is_refused = |asked: &mut Asked| asked.to == *label && matches!(asked.answer, Leave::Refused(_));
    service.hooks.asked.take_if(is_refused).is_some()
}

/// Takes in how calls ended.
pub(crate) fn report(service: &mut Service, report: &HookReport, now: Timestamp) {
    match report {
        HookReport::Ended { owed, call } => {
            // What is not owed any more was given up, or reported before.
            if service.hooks.owed.remove(owed).is_some() {
                remember(&mut service.hooks, call.clone());
            }
        }
        HookReport::Answered { to, epoch, calls, leave } => {
            for call in calls {
                remember(&mut service.hooks, call.clone());
            }
            if service.epoch == *epoch {
                let answer = match leave {
                    Ok(()) => Leave::Given,
                    Err(why) => Leave::Refused(why.clone()),
                };
                service.hooks.asked = Some(Asked { to: to.clone(), epoch: *epoch, at: now, answer });
            }
        }
    }
}

/// Notes what hooks have to be told of a change of their service.
pub(crate) fn follow(before: &Service, service: &mut Arc<Service>, now: Timestamp) {
    for turn in turns(before, service, now) {
        let service = Arc::make_mut(service);
        let policy = Arc::clone(&service.policy);
        for hook in policy.hooks.iter().filter(|hook| hook.on == turn.on) {
            owe(&mut service.hooks, Owed { turn: turn.clone(), url: hook.url.clone() });
        }
    }
}

fn turns(before: &Service, service: &Service, at: Timestamp) -> Vec<Turn> {
    let mut turns = Vec::new();
    let epoch = service.epoch;
    if let Some(version) = service.active.clone().filter(|_| service.active != before.active) {
        let from = before.active.clone();
        let is_bad = |label: &VersionLabel| {
            service.versions.get(label).is_some_and(|version| version.rejected.is_some())
        };
        // Only a rollback rejects the version that was active.
        let on = if from.as_ref().is_some_and(is_bad) { HookPoint::RolledBack } else { HookPoint::PostFlip };
        turns.push(Turn { on, version, from, epoch, at });
    }
    let is_passed = |bake: &&Bake| bake.state == bake::State::Passed;
    let passed = service.bake.as_ref().filter(is_passed).filter(|_| service.bake != before.bake);
    if let Some(Bake { version, from, .. }) = passed {
        turns.push(Turn {
            on: HookPoint::Baked,
            version: version.clone(),
            from: Some(from.clone()),
            epoch,
            at,
        });
    }
    for (label, version) in &service.versions {
        let was_drained = before.versions.get(label).is_none_or(|before| before.drained.is_some());
        if version.drained.is_some() && !was_drained {
            turns.push(Turn { on: HookPoint::Drained, version: label.clone(), from: None, epoch, at });
        }
    }
    turns
}

fn owe(hooks: &mut Hooks, owed: Owed) {
    while hooks.owed.len() >= OWED_MAX
        && let Some((number, oldest)) = hooks.owed.pop_first()
    {
        let call = Ended {
            number,
            turn: oldest.turn.clone(),
            origin: oldest.url.origin(),
            is_delivered: false,
            status: None,
            tries: 0,
            took: Millis::ZERO,
            said: format!("given up: {OWED_MAX} later ones are owed"),
        };
        remember(hooks, call);
    }
    let number = hooks.next;
    hooks.next += 1;
    hooks.owed.insert(number, Arc::new(owed));
}

fn remember(hooks: &mut Hooks, call: Ended) {
    let number = hooks.next;
    hooks.next += 1;
    hooks.recent.push(Arc::new(Ended { number, ..call }));
    let surplus = hooks.recent.len().saturating_sub(RECENT_MAX);
    hooks.recent.drain(..surplus);
}

fn asked<'a>(service: &'a Service, to: &VersionLabel) -> Option<&'a Asked> {
    service.hooks.asked.as_ref().filter(|asked| asked.to == *to && asked.epoch == service.epoch)
}

fn must_ask_at_all(service: &Service) -> bool {
    of(service, HookPoint::PreFlip).next().is_some()
}

/// How the call ended, in a sentence.
impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { turn: Turn { on, version, .. }, origin, tries, took, said, .. } = self;
        let tries = if *tries == 1 { "1 try".to_owned() } else { format!("{tries} tries") };
        let took = format!("{tries} in {took}");
        match self.is_delivered {
            true => write!(f, "hook {on} of version {version} taken by {origin}, {took}: {said}"),
            false => write!(f, "hook {on} of version {version} not taken by {origin}, {took}: {said}"),
        }
    }
}
