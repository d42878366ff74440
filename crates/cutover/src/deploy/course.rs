//! The course of a deploy: look, decide, act, until all is done or something ends it.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::act::Actor;
use super::plan::{self, Memory, Standing, Step, Wants};
use super::scene::Scene;
use super::step_log::StepLog;
use crate::ctl::{Error, Reason};
use crate::job::progress::Step as Shown;
use crate::job::stop::Stop;

/// Time between two looks while something is waited for.
const POLL: Duration = Duration::from_millis(500);
/// Looks that change nothing and may follow each other without a pause: an action whose effect can't be seen yet is not a reason to spin.
const ACTIONS_MAX: u32 = 1000;

/// How a deploy ended, and at which step.
#[derive(Debug)]
pub(super) enum End {
    /// Everything is done.
    Finished,
    /// A rule or a verdict is against it.
    Refused(Step, Vec<Reason>),
    /// A command failed.
    Failed(Step, Failure),
    /// Somebody stopped it.
    Interrupted(Step),
    /// Its time was over while this was waited for.
    Late(Step, String),
    /// The server refuses, or can't be reached for too long.
    Lost(Step, Error),
}

/// Why a step's command brought nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// It could not be run.
    #[error("its command can't be run")]
    NotRun(#[source] std::io::Error),
    /// It ran, and failed.
    #[error("its command ended with {0}")]
    Command(std::process::ExitStatus),
    /// It took longer than the deploy may.
    #[error("its command was ended when the time of the deploy was over")]
    Late,
    /// Somebody ended it.
    #[error("its command was ended")]
    Killed,
}

/// A deploy under way.
#[derive(Debug)]
pub(super) struct Course<'a> {
    /// What is wanted.
    pub(super) wants: &'a Wants,
    /// Who does what is decided.
    pub(super) actor: Actor<'a>,
    /// What this run did.
    pub(super) memory: Memory,
    /// What was said.
    pub(super) log: StepLog,
    /// When it began.
    pub(super) began: Instant,
    /// When its time is over.
    pub(super) deadline: Instant,
}

impl Course<'_> {
    /// Goes on until the end. `scene` is what was found first, and is what was found last afterwards.
    pub(super) async fn run(&mut self, scene: &mut Scene) -> End {
        let mut actions = 0;
        loop {
            let at = self.began.elapsed();
            self.memory.look(self.wants, scene, at);
            self.note_done(scene, at);
            let Some((step, standing)) = plan::next(self.wants, scene, &self.memory, at) else {
                return End::Finished;
            };
            if self.actor.stopped.is(Stop::Asking) {
                return End::Interrupted(step);
            }
            match standing {
                Standing::Ready(action) if actions < ACTIONS_MAX => {
                    actions += 1;
                    self.actor.progress.show(step.as_str(), Shown::Does(&self.actor.in_words(&action)));
                    if let Err(end) =
                        self.actor.act(step, action, scene, &mut self.memory, self.deadline).await
                    {
                        return end;
                    }
                }
                Standing::Stuck(reasons) => return End::Refused(step, reasons),
                Standing::Waits(what) => {
                    if Instant::now() >= self.deadline {
                        return End::Late(step, what);
                    }
                    let is_news = self.log.is_news(step, &what, Instant::now());
                    self.actor.progress.show(step.as_str(), Shown::Waits(&what, is_news));
                    self.pause().await;
                }
                // Neither can be next; and no server needs so many actions.
                Standing::Unwanted | Standing::Done(_) | Standing::Ready(_) => {
                    return End::Late(step, "it does not get done".to_owned());
                }
            }
            if let Err(end) = self.look(step, scene).await {
                return end;
            }
        }
    }

    /// Looks again, also while the server can't be reached.
    async fn look(&mut self, step: Step, scene: &mut Scene) -> Result<(), End> {
        loop {
            match self.actor.look().await {
                Ok(found) => {
                    *scene = found;
                    return Ok(());
                }
                Err(error) if error.is_passing() && Instant::now() < self.deadline => {
                    let is_news = self.log.is_news(step, "the server can't be reached", Instant::now());
                    let text = format!("{error}; it is tried again");
                    self.actor.progress.show(step.as_str(), Shown::Waits(&text, is_news));
                    self.pause().await;
                }
                Err(error) => return Err(End::Lost(step, error)),
            }
            if self.actor.stopped.is(Stop::Asking) {
                return Err(End::Interrupted(step));
            }
        }
    }

    /// Shows what is done by now, each step once.
    fn note_done(&mut self, scene: &Scene, at: Duration) {
        let next = plan::next(self.wants, scene, &self.memory, at).map(|(step, _)| step);
        for step in Step::ALL.into_iter().take_while(|step| Some(*step) != next) {
            if let Standing::Done(how) = plan::standing(step, self.wants, scene, &self.memory, at)
                && self.log.done(step)
            {
                self.actor.progress.show(step.as_str(), Shown::Back(&how));
            }
        }
    }

    async fn pause(&self) {
        tokio::select! {
            () = sleep(POLL) => {}
            () = self.actor.stopped.until(Stop::Asking) => {}
        }
    }
}
