//! What a deploy does: runs commands, and tells the server what they brought.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::course::{End, Failure};
use super::options::Options;
use super::plan::{Action, EXPAND, Memory, Step, is_passing};
use super::scene::Scene;
use crate::ctl::client::{CALL_TIMEOUT, Client, path};
use crate::ctl::share::percent;
use crate::ctl::{Error, Problem, Reason};
use crate::job::progress::{Progress, Step as Shown};
use crate::job::stop::{Stop, Stopped};
use crate::job::{self, Ended, Logs};

/// Time between two tries to tell the server something.
const RETRY: Duration = Duration::from_millis(500);
/// Time between two looks at what a command printed.
const FOLLOW: Duration = Duration::from_millis(100);

/// Whoever does it.
#[derive(Debug)]
pub(super) struct Actor<'a> {
    /// Whom to tell.
    pub(super) client: &'a Client,
    /// What is wanted.
    pub(super) options: &'a Options,
    /// Where output is kept.
    pub(super) logs: &'a Logs,
    /// What is shown.
    pub(super) progress: &'a Progress,
    /// How much is to stop.
    pub(super) stopped: Stopped,
}

impl Actor<'_> {
    /// Looks at the server.
    ///
    /// # Errors
    /// It can't be reached, or there is no such service.
    pub(super) async fn look(&self) -> Result<Scene, Error> {
        let Options { service, version, contract, .. } = self.options;
        Scene::look(self.client, service, version, contract.is_some()).await
    }

    /// What an action is, for people.
    #[must_use]
    pub(super) fn in_words(&self, action: &Action) -> String {
        match action {
            Action::Expand => "the additive migration runs".to_owned(),
            Action::Run => "the backends are started".to_owned(),
            Action::Gate(name) => format!("the command of gate {name} runs"),
            Action::Canary(None) => "the canary begins".to_owned(),
            Action::Canary(Some(share)) => format!("the canary gets {} of the sessions", percent(*share)),
            Action::Flip(_) => format!("{} becomes active", self.options.version),
            Action::Evict(version) => format!("the last sessions are moved off {version}"),
            Action::Contract => "the destructive migration runs".to_owned(),
        }
    }

    /// Does it.
    ///
    /// # Errors
    /// How the deploy ends because of it.
    pub(super) async fn act(
        &self,
        step: Step,
        action: Action,
        scene: &Scene,
        memory: &mut Memory,
        deadline: Instant,
    ) -> Result<(), End> {
        let Options { version, .. } = self.options;
        let lost = |error| refusal(step, error);
        match action {
            Action::Expand => {
                let command = self.options.expand.as_deref();
                self.run_once(step, EXPAND, command, scene, memory, deadline).await?;
                self.open(EXPAND, "the additive migration ran", deadline).await.map_err(lost)
            }
            Action::Run => {
                let command = self.options.run.as_deref();
                self.run_once(step, Step::Stage.as_str(), command, scene, memory, deadline).await
            }
            Action::Gate(name) => {
                let command = self.options.gates.iter().find(|(gate, _)| *gate == name);
                let command = command.map(|(_, command)| command.as_str());
                self.run_once(step, &name, command, scene, memory, deadline).await?;
                self.open(&name, "its command succeeded", deadline).await.map_err(lost)
            }
            Action::Canary(share) => {
                let body = match share {
                    Some(share) => json!({ "to": version, "share": share, "reason": "cutover deploy" }),
                    None => json!({ "to": version, "reason": "cutover deploy" }),
                };
                self.tell(Method::POST, &["canary"], &body, deadline).await.map_err(lost)
            }
            Action::Flip(epoch) => {
                let body = json!({ "to": version, "if_epoch": epoch, "reason": "cutover deploy" });
                match self.tell(Method::POST, &["flip"], &body, deadline).await {
                    // Something changed since the last look, or this very call did it before its answer got lost: the next look tells.
                    Err(Error::Refused(problem)) if is_outdated(&problem) => {
                        sleep(RETRY).await;
                        Ok(())
                    }
                    done => done.map_err(lost),
                }
            }
            Action::Evict(old) => {
                let body = json!({ "reason": "cutover deploy" });
                self.tell(Method::POST, &["versions", &old, "evict"], &body, deadline).await.map_err(lost)?;
                memory.evicted.insert(old);
                Ok(())
            }
            Action::Contract => {
                let command = self.options.contract.as_deref();
                self.run_once(step, step.as_str(), command, scene, memory, deadline).await?;
                let note = format!("cutover deploy: the destructive migration of {version} ran");
                self.tell(Method::POST, &["contract"], &json!({ "note": note }), deadline).await.map_err(lost)
            }
        }
    }

    /// Opens a gate, also of a version that no backend has reported yet.
    async fn open(&self, gate: &str, what: &str, deadline: Instant) -> Result<(), Error> {
        let body = json!({ "open": true, "note": format!("cutover deploy: {what}"), "ahead": true });
        self.tell(Method::PUT, &["versions", &self.options.version, "gates", gate], &body, deadline).await
    }

    /// Runs a command unless it ran to success before.
    async fn run_once(
        &self,
        step: Step,
        name: &str,
        command: Option<&str>,
        scene: &Scene,
        memory: &mut Memory,
        deadline: Instant,
    ) -> Result<(), End> {
        let Some(command) = command.filter(|_| !memory.ran.contains(name)) else { return Ok(()) };
        let ended = self.run(name, command, scene, deadline).await;
        let failure = match ended {
            Ok(Ended::By(status)) if status.success() => {
                memory.ran.insert(name.to_owned());
                return Ok(());
            }
            Ok(Ended::By(status)) => Failure::Command(status),
            Ok(Ended::Late) => Failure::Late,
            Ok(Ended::Killed) => Failure::Killed,
            Err(error) => Failure::NotRun(error),
        };
        Err(End::Failed(step, failure))
    }

    /// Runs a command, and shows what it prints while it does.
    async fn run(
        &self,
        name: &str,
        command: &str,
        scene: &Scene,
        deadline: Instant,
    ) -> std::io::Result<Ended> {
        let log = self.logs.append(name)?;
        let mut follower = self.logs.follow(name)?;
        let limit = deadline.saturating_duration_since(Instant::now());
        let variables = self.variables(scene);
        let running = job::run(command, &variables, log, limit, self.stopped.until(Stop::Commands));
        tokio::pin!(running);
        let ended = loop {
            tokio::select! {
                ended = &mut running => break ended,
                () = sleep(FOLLOW) => self.show(name, follower.lines()),
            }
        };
        self.show(name, follower.rest());
        ended
    }

    fn show(&self, name: &str, lines: Vec<String>) {
        for line in lines {
            self.progress.say(&format!("{name} | {line}"));
        }
    }

    /// What a command finds in its environment.
    fn variables(&self, scene: &Scene) -> Vec<(&'static str, String)> {
        let Options { service, version, .. } = self.options;
        vec![
            ("CUTOVER_SERVICE", service.clone()),
            ("CUTOVER_VERSION", version.clone()),
            ("CUTOVER_FROM", scene.before(version).unwrap_or_default().to_owned()),
            ("CUTOVER_EPOCH", scene.service.epoch.to_string()),
            ("CUTOVER_ADMIN", self.client.target().to_string()),
        ]
    }

    /// Tells the server something about the service.
    async fn tell(&self, method: Method, at: &[&str], body: &Value, deadline: Instant) -> Result<(), Error> {
        self.call(method, at, body, deadline).await.map(drop)
    }

    /// Makes a call about the service, also while the server can't be reached.
    async fn call(
        &self,
        method: Method,
        at: &[&str],
        body: &Value,
        deadline: Instant,
    ) -> Result<Value, Error> {
        let segments = [&["services", self.options.service.as_str()][..], at].concat();
        let path = path(&segments);
        loop {
            match self.client.call(method.clone(), &path, Some(body), CALL_TIMEOUT).await {
                Ok(answer) => return Ok(answer.body),
                Err(error) if error.is_passing() && Instant::now() < deadline => {
                    let text = format!("{error}; it is tried again");
                    self.progress.show(at.last().copied().unwrap_or_default(), Shown::Waits(&text, false));
                }
                Err(error) => return Err(error),
            }
            tokio::select! {
                () = sleep(RETRY) => {}
                () = self.stopped.until(Stop::Commands) => {
                    return Err(Error::Interrupted("a second signal"));
                }
            }
        }
    }
}

/// Whether a flip was refused for what was not so when somebody looked last.
fn is_outdated(problem: &Problem) -> bool {
    let is_passing = |reason: &Reason| is_passing(reason) || reason.code == "already_active";
    problem.status == 412 || (!problem.reasons.is_empty() && problem.reasons.iter().all(is_passing))
}

/// How a deploy ends by an error: a refusal with its reasons is one of rules.
fn refusal(step: Step, error: Error) -> End {
    match error {
        Error::Refused(problem) if problem.status == 409 && !problem.reasons.is_empty() => {
            End::Refused(step, problem.reasons)
        }
        error => End::Lost(step, error),
    }
}
