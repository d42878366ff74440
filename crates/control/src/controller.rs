//! Decide → store → publish → answer: the one place where the control state changes.
//!
//! It has no clock, no timer and no channel, and takes one thing after the other, so that a simulation can step it. The loop in
//! [`run`](crate::run) brings those. Nothing is published that is not committed; what is never committed (health, identities, leases)
//! is published although the store may be down.

#[cfg(test)]
mod replies;
#[cfg(test)]
mod restart;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;

use cutover_core::command::{Change, Command, Finding, Found};
use cutover_core::compile::compile;
use cutover_core::id::{BackendId, Revision, ServiceName};
use cutover_core::pin::FUTURE_MAX_SECS;
use cutover_core::publish::Publisher;
use cutover_core::rejected::Rejected;
use cutover_core::report::{Skew, Traffic};
use cutover_core::state::State;
use cutover_core::time::{Millis, Timestamp};
use tokio::sync::watch;

use crate::elder::Elder;
use crate::error::{LoadError, SubmitError};
use crate::event_log::EventLog;
use crate::handle::{Current, Done, Request};
use crate::judge::{Judge, VerdictBoard};
use crate::metrics::Metrics;
use crate::reconcile;
use crate::reply::{Digest, KeptReply, Reply};
use crate::reply_log::ReplyLog;
use crate::resync;
use crate::step::{Step, Why};
use crate::store::record::{self, ReadPolicy, Stored};
use crate::store::{Cause, Commit, CommitError, Guard, Loaded, OperationId, Store};
use crate::timeline::Entry;

/// How often a command is decided anew because somebody else committed first.
const COMMIT_TRIES: u32 = 3;

/// Draws the id of the next commit; see [`OperationId`].
pub type DrawOperation = Box<dyn FnMut() -> OperationId + Send>;

/// What a controller works with.
pub struct Parts {
    /// Where the state is kept. No call may take for ever: see [`LimitedStore`](crate::limited_store::LimitedStore).
    pub store: Arc<dyn Store>,
    /// Where snapshots go.
    pub publisher: Publisher,
    /// How the documents of services are read back.
    pub read_policy: ReadPolicy,
    /// Where ids of commits come from.
    pub draw_operation: DrawOperation,
    /// What is counted.
    pub metrics: Metrics,
    /// The latest date that a pin of an earlier process may carry, where that was kept.
    pub latest_pin: Option<Timestamp>,
}

/// The only writer of the control state.
pub struct Controller {
    parts: Parts,
    state: Arc<State>,
    revision: Revision,
    events: Arc<EventLog>,
    replies: ReplyLog,
    skew: Skew,
    judge: Judge,
    elder: Arc<Elder>,
    current: watch::Sender<Current>,
    /// Whether the configuration was applied. Before, nothing is known of its services but their records, so nothing may be decided.
    is_configured: bool,
    /// Whether the store may hold something else than `state`: a commit ended without an answer. The state must be read again before the
    /// next one.
    is_in_doubt: bool,
    is_store_failing: bool,
    /// Findings that led to a change which could not be committed.
    unsaved: BTreeMap<(ServiceName, BackendId), (u32, Finding)>,
}

/// What is stored beside the state: the timeline and the answers that are kept.
type Beside = (Vec<Entry>, Vec<(Digest, KeptReply)>);

/// Why a step was not taken. Nothing was changed, unless in doubt.
#[derive(Debug)]
enum Setback {
    /// Somebody else was first; the state was read again.
    Conflict,
    Unavailable(Cause),
    InDoubt(Cause),
}

impl Controller {
    /// A controller of what the store holds. It publishes nothing before the first [`Command::Configure`], and refuses every other command
    /// but [`Command::AddPinKey`] until then.
    ///
    /// # Errors
    /// [`LoadError`] when the store can't be read or holds something that this release does not understand.
    pub async fn load(parts: Parts, now: Timestamp) -> Result<Self, LoadError> {
        let loaded = parts.store.load().await?;
        let Stored { state, timeline, replies } = record::read(&loaded.records, parts.read_policy, now)?;
        let latest_pin = parts.latest_pin.unwrap_or_else(|| latest_pin(loaded.revision, now));
        let state = Arc::new(State { ahead: latest_pin.since(now), ..state });
        let current = Current {
            revision: loaded.revision,
            state: Arc::clone(&state),
            snapshot: parts.publisher.current(),
        };
        Ok(Self {
            state,
            revision: loaded.revision,
            events: Arc::new(EventLog::new(timeline)),
            replies: ReplyLog::new(replies),
            skew: Skew::default(),
            judge: Judge::default(),
            elder: Arc::default(),
            current: watch::Sender::new(current),
            is_configured: false,
            is_in_doubt: false,
            is_store_failing: false,
            unsaved: BTreeMap::new(),
            parts,
        })
    }

    /// Carries out a command. When it answers `Done`, the change is committed and published; whether it is served by every worker,
    /// [`is_served`](Self::is_served) tells.
    ///
    /// # Errors
    /// See [`SubmitError`]; `NotServed`, `Overloaded` and `Stopped` are the loop's.
    pub async fn handle(&mut self, request: Request, now: Timestamp) -> Result<Done, SubmitError> {
        let outcome = self.carry_out(&request, now).await;
        let is_repetition = outcome.as_ref().is_ok_and(|done| done.is_repetition);
        if let (false, Command::Service(name, _)) = (is_repetition, &request.command)
            && self.state.services.contains_key(name)
        {
            self.parts.metrics.count_command(&request.command, outcome.as_ref().err());
        }
        outcome
    }

    /// Takes in what probes found out. What can't be committed now is tried again at the next tick.
    pub async fn found(&mut self, findings: Vec<Found>, now: Timestamp) {
        if !self.is_configured || findings.is_empty() {
            return;
        }
        let Ok(after) = self.state.apply(&Command::Probed(findings.clone()), now) else { return };
        let step = self.step(after, &Why::itself(), now);
        match self.advance(step).await {
            Ok(_) => {}
            Err(Setback::Conflict) => self.unsaved.extend(findings.into_iter().map(into_pair)),
            Err(Setback::Unavailable(_) | Setback::InDoubt(_)) => self.take_volatile(findings, now),
        }
    }

    /// Says what the next ticks are to know of the clocks by which pins are dated and judged.
    pub fn note_skew(&mut self, skew: Skew) {
        self.skew = skew;
    }

    /// Lets time pass and traffic be seen: drains and leases end, ejections begin, what failed before is tried again.
    pub async fn tick(&mut self, now: Timestamp) {
        if !self.is_configured {
            return;
        }
        if self.is_in_doubt && self.read_again(now).await.is_err() {
            tracing::debug!("the store still can't tell how the last commit ended");
        }
        let unsaved = mem::take(&mut self.unsaved);
        self.found(unsaved.into_iter().map(from_pair).collect(), now).await;

        // In this order: a worker that takes the snapshot over in between has nothing older left to begin.
        let snapshot = self.parts.publisher.current();
        let is_served = self.is_served(snapshot.generation) && self.elder.has_seen(self.revision);
        let traffic = reconcile::traffic(&self.state, &snapshot, is_served);
        let command = Command::Tick(Traffic { skew: self.skew, ..traffic });
        let after = match self.state.apply(&command, now) {
            Ok(after) => after,
            Err(rejected) => return tracing::error!(%rejected, "time can't be refused"),
        };
        let step = self.step(after, &Why::itself(), now);
        if self.advance(step).await.is_err()
            && let Command::Tick(traffic) = command
        {
            self.pass_volatile(traffic, now);
        }
        self.judge(now).await;
    }

    /// Says that somebody else may have written to the store: it is read again before anything is committed.
    pub fn doubt(&mut self) {
        self.is_in_doubt = true;
    }

    /// Takes over what another process has committed, and keeps what was observed about it.
    ///
    /// # Errors
    /// [`LoadError`] for what this release does not understand; nothing is changed then.
    pub fn follow(&mut self, loaded: &Loaded, now: Timestamp) -> Result<(), LoadError> {
        self.take_over(loaded, now).map(drop)
    }

    /// The process before this one.
    #[must_use]
    pub fn elder(&self) -> &Arc<Elder> {
        &self.elder
    }

    /// The control state.
    #[must_use]
    pub fn state(&self) -> &Arc<State> {
        &self.state
    }

    /// The last committed revision.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The generation of the last snapshot that was published.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.parts.publisher.current().generation
    }

    /// Whether the configuration was applied and published.
    #[must_use]
    pub fn is_configured(&self) -> bool {
        self.is_configured
    }

    /// Whether every live worker decides by snapshots of `generation` or newer only.
    #[must_use]
    pub fn is_served(&self, generation: u64) -> bool {
        self.parts.publisher.is_served(generation)
    }

    /// Whether a worker has reported since the last call that something needs a decision at once.
    #[must_use]
    pub fn take_alarm(&self) -> bool {
        self.parts.publisher.take_alarm()
    }

    /// Follows the state.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Current> {
        self.current.subscribe()
    }

    /// What is thought right now of the versions that are watched.
    #[must_use]
    pub fn verdicts(&self) -> &Arc<VerdictBoard> {
        self.judge.board()
    }

    /// Everything that happened.
    #[must_use]
    pub fn events(&self) -> &Arc<EventLog> {
        &self.events
    }

    async fn carry_out(&mut self, request: &Request, now: Timestamp) -> Result<Done, SubmitError> {
        let why = Why::asked(request);
        for _ in 0..COMMIT_TRIES {
            if self.is_in_doubt
                && let Err(source) = self.read_again(now).await
                && !is_heartbeat(&request.command)
            {
                return Err(SubmitError::Unavailable { source });
            }
            if let Some(reply) = self.earlier_reply(request, now)? {
                return Ok(Done { reply: Some(reply), is_repetition: true, ..self.idle() });
            }
            if request.if_match.is_some_and(|expected| expected != self.revision) {
                return Err(SubmitError::RevisionMismatch { current: self.revision });
            }
            let after = self.decide(&request.command, now)?;
            let mut step = self.step(after, &why, now);
            if let (false, Command::Configure(_)) = (self.is_configured, &request.command) {
                step.begins();
            }
            let done = self.keep_reply(&mut step, request);
            match self.advance(step).await {
                Ok(generation) => return Ok(Done { revision: self.revision, generation, ..done }),
                Err(Setback::Conflict) => {}
                Err(Setback::Unavailable(source)) => return Err(SubmitError::Unavailable { source }),
                Err(Setback::InDoubt(source)) => return Err(SubmitError::Unknown { source }),
            }
        }
        Err(SubmitError::Unavailable { source: "others keep committing first".into() })
    }

    /// Looks at how new versions answer, and carries out what follows from it. What can't be committed is found again by the next look.
    async fn judge(&mut self, now: Timestamp) {
        let judgements =
            self.judge.look(&self.state, &self.parts.publisher.current(), &self.parts.metrics, now);
        if judgements.is_empty() {
            return;
        }
        let Ok(after) = self.state.apply(&Command::Judged(judgements), now) else { return };
        let step = self.step(after, &Why::itself(), now);
        if self.advance(step).await.is_err() {
            tracing::warn!("a verdict could not be committed; it is given again");
        }
    }

    /// What was answered to the request before, if it has been carried out already.
    fn earlier_reply(&self, request: &Request, now: Timestamp) -> Result<Option<Reply>, SubmitError> {
        // Before the first configuration nothing is served that an answer could promise.
        let Some(once) = request.once.as_ref().filter(|_| self.is_configured) else { return Ok(None) };
        match self.replies.find(once.id, now) {
            Some(kept) if kept.fingerprint == once.fingerprint => Ok(Some(kept.reply.clone())),
            Some(_) => Err(SubmitError::KeyReused),
            None => Ok(None),
        }
    }

    /// What `step` will have done. If the request has a key and the step is committed, its answer becomes part of the step.
    fn keep_reply(&self, step: &mut Step, request: &Request) -> Done {
        let done = Done { state: Arc::clone(step.after()), ..self.idle() };
        let Some(once) = request.once.as_ref().filter(|_| !step.is_volatile()) else { return done };
        let done = Done { revision: self.revision.next(), ..done };
        let reply = (once.answer)(&done);
        if let Some(reply) = reply.clone() {
            let kept = KeptReply { at: step.now(), fingerprint: once.fingerprint, reply };
            step.keep(self.replies.keeping(once.id, kept));
        }
        Done { reply, ..done }
    }

    /// What doing nothing does.
    fn idle(&self) -> Done {
        Done {
            revision: self.revision,
            state: Arc::clone(&self.state),
            before: Arc::clone(&self.state),
            generation: self.parts.publisher.current().generation,
            reply: None,
            is_repetition: false,
        }
    }

    fn decide(&self, command: &Command, now: Timestamp) -> Result<State, SubmitError> {
        let decide = || -> Result<State, Rejected> { self.state.apply(command, now) };
        match command {
            _ if self.is_configured => Ok(decide()?),
            // Only now the policies are known by which pins of earlier processes are judged.
            Command::Configure(_) => Ok(decide()?.restored(now)),
            Command::AddPinKey(_) => Ok(decide()?),
            _ => Err(SubmitError::Starting),
        }
    }

    /// Takes in those findings that need no commit; the others wait.
    fn take_volatile(&mut self, findings: Vec<Found>, now: Timestamp) {
        for found in findings {
            let Ok(after) = self.state.apply(&Command::Probed(vec![found.clone()]), now) else { continue };
            let step = self.step(after, &Why::itself(), now);
            if step.is_volatile() {
                self.adopt(step);
            } else {
                self.unsaved.extend([into_pair(found)]);
            }
        }
    }

    /// Lets happen what needs no commit of a tick that could not be committed. The rest is decided again by the next one; until then, who
    /// was seen to run something else is only doubted.
    fn pass_volatile(&mut self, mut traffic: Traffic, now: Timestamp) {
        traffic.backends.values_mut().for_each(|facts| facts.sighting = None);
        let Ok(after) = self.state.apply(&Command::Tick(traffic), now) else { return };
        let rest = self.step(after, &Why::itself(), now).volatile_part(&self.state);
        let step = self.step(rest, &Why::itself(), now);
        if step.is_volatile() {
            self.adopt(step);
        }
    }

    fn step(&self, after: State, why: &Why, now: Timestamp) -> Step {
        let after = self.freeze(after, now);
        Step::between(&self.state, after, why, (self.revision, &self.events), now)
    }

    /// A bake that begins is compared with how the old version answered until now, which is part of the same step.
    fn freeze(&self, after: State, now: Timestamp) -> State {
        let baselines = self.judge.freeze(&self.state, &after, &self.parts.publisher.current());
        if baselines.is_empty() {
            return after;
        }
        after.apply(&Command::Judged(baselines), now).unwrap_or(after)
    }

    /// Commits the step if it must be, then makes it true. Answers the generation that holds it.
    async fn advance(&mut self, step: Step) -> Result<u64, Setback> {
        // Also if the step can't be committed: that a process is doubted harms nothing, a probe asks again.
        self.disown(&step);
        if !step.is_volatile() {
            self.commit(&step).await?;
        }
        Ok(self.adopt(step))
    }

    async fn commit(&mut self, step: &Step) -> Result<(), Setback> {
        if self.is_in_doubt {
            return match self.read_again(step.now()).await {
                Ok(()) => Err(Setback::Conflict),
                Err(source) => Err(Setback::Unavailable(source)),
            };
        }
        let operation = (self.parts.draw_operation)();
        let commit =
            Commit { guards: vec![Guard::Revision(self.revision)], changes: step.changes(), operation };
        let outcome = match self.parts.store.commit(commit).await {
            Ok(revision) => Ok(revision),
            Err(CommitError::Conflict { .. }) => {
                self.is_in_doubt = true;
                self.read_again(step.now()).await.map_err(Setback::Unavailable)?;
                return Err(Setback::Conflict);
            }
            Err(CommitError::Unavailable { source }) => Err(Setback::Unavailable(source)),
            Err(CommitError::Unknown { source }) => match self.parts.store.committed(operation).await {
                Ok(Some(revision)) => Ok(revision),
                Ok(None) => Err(Setback::Unavailable(source)),
                Err(_) => {
                    self.is_in_doubt = true;
                    Err(Setback::InDoubt(source))
                }
            },
        };
        self.note_store(outcome.as_ref().err());
        self.revision = outcome?;
        Ok(())
    }

    /// Makes a step true that is committed or need not be.
    fn adopt(&mut self, mut step: Step) -> u64 {
        self.disown(&step);
        let (before, begins) = (Arc::clone(&self.state), step.is_beginning());
        self.state = Arc::clone(step.after());
        let generation = self.publish(begins);
        self.is_configured |= begins;
        reconcile::carry_out(&step, &self.parts.publisher.current(), &self.parts.metrics);
        self.parts.metrics.follow(&before, &self.state);
        if let Some(keeping) = step.take_keeping() {
            self.replies.keep(keeping);
        }
        step.log(&self.events);
        self.tell();
        generation
    }

    fn disown(&self, step: &Step) {
        reconcile::disown(&self.state, step.after(), &self.parts.publisher.current());
    }

    /// Publishes the state, if requests are served differently by it or it is the first.
    fn publish(&self, is_first: bool) -> u64 {
        let previous = self.parts.publisher.current();
        if !is_first && !self.is_configured {
            return previous.generation;
        }
        let snapshot = compile(&self.state, &previous);
        if !is_first && snapshot.is_same(&previous) {
            return previous.generation;
        }
        let generation = snapshot.generation;
        self.parts.publisher.publish(Arc::new(snapshot));
        generation
    }

    /// Takes over what the store holds, and keeps what was observed about it.
    async fn read_again(&mut self, now: Timestamp) -> Result<(), Cause> {
        let loaded = self.parts.store.load().await?;
        let (timeline, replies) = self.take_over(&loaded, now)?;
        self.is_in_doubt = false;
        self.events.replace_timeline(timeline);
        self.replies = ReplyLog::new(replies);
        tracing::warn!(revision = %self.revision, "read the state from the store again");
        Ok(())
    }

    /// Answers what else was in the records.
    fn take_over(&mut self, loaded: &Loaded, now: Timestamp) -> Result<Beside, LoadError> {
        let stored = record::read(&loaded.records, self.parts.read_policy, now)?;
        let before = Arc::clone(&self.state);
        self.state = Arc::new(resync::merge(stored.state, &before));
        self.revision = loaded.revision;
        self.publish(false);
        self.parts.metrics.follow(&before, &self.state);
        self.tell();
        Ok((stored.timeline, stored.replies))
    }

    fn tell(&self) {
        self.current.send_replace(Current {
            revision: self.revision,
            state: Arc::clone(&self.state),
            snapshot: self.parts.publisher.current(),
        });
    }

    fn note_store(&mut self, setback: Option<&Setback>) {
        match setback {
            Some(Setback::Unavailable(source) | Setback::InDoubt(source)) if !self.is_store_failing => {
                tracing::error!(error = %source, "the store fails; nothing can be changed until it works again");
            }
            None if self.is_store_failing => tracing::info!("the store works again"),
            _ => {}
        }
        self.is_store_failing = setback.is_some();
    }
}

/// The latest date of pins that nobody kept: the first process had no predecessor, any other believed no pin that was dated further ahead
/// than this.
fn latest_pin(revision: Revision, now: Timestamp) -> Timestamp {
    if revision == Revision::default() {
        return now;
    }
    let ahead = Millis::from_secs(FUTURE_MAX_SECS);
    tracing::warn!(%ahead, "how pins were dated was not kept, they may be dated ahead; drains wait for them");
    now + ahead
}

/// Heartbeats are let through while the state is in doubt: leases would lapse in rows as soon as the store works again. Everything else,
/// even what seems to change nothing, needs to know what is true.
fn is_heartbeat(command: &Command) -> bool {
    matches!(command, Command::Service(_, Change::Heartbeat { .. }))
}

impl std::fmt::Debug for Controller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Controller").field("revision", &self.revision).finish_non_exhaustive()
    }
}

fn into_pair(found: Found) -> ((ServiceName, BackendId), (u32, Finding)) {
    ((found.service, found.backend), (found.generation, found.finding))
}

fn from_pair(
    ((service, backend), (generation, finding)): ((ServiceName, BackendId), (u32, Finding)),
) -> Found {
    Found { service, backend, generation, finding }
}
