//! What is owed to hooks and not under way yet: found in the state, started, and reported when it has ended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use cutover_core::command::{Change, Command};
use cutover_core::hook::{Asked, Ended, HookReport, Leave, Owed};
use cutover_core::id::{Epoch, ServiceName, VersionLabel};
use cutover_core::service::Service;
use cutover_core::time::{Millis, Timestamp};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;

use super::call::Means;
use super::deliver::{Patience, ask, deliver};
use crate::error::SubmitError;
use crate::handle::{Control, Current, Request};
use crate::timeline::Actor;

/// Calls that are under way at a time, pauses between tries included.
const RUNNING_MAX: usize = 1024;
/// Calls to one hook at a time: a receiver that is away holds up nobody else.
const RUNNING_PER_HOOK: usize = 4;
/// Pauses between attempts to report how a call ended, while the store can't take it.
const REPORT_PAUSE: Duration = Duration::from_millis(500);
const REPORT_PAUSE_MAX: Duration = Duration::from_secs(30);

/// Makes the calls that are owed in the state that it follows.
pub(crate) struct Dispatcher {
    pub(crate) control: Control,
    pub(crate) means: Means,
}

/// One call, or the question of one flip.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Job {
    Owed(ServiceName, u64, Timestamp),
    Asked(ServiceName, VersionLabel, Epoch, Timestamp),
}

impl Dispatcher {
    /// Runs until the controller ends.
    pub(crate) async fn run(self) {
        let mut current = self.control.watch();
        let mut running = Running::default();
        loop {
            self.follow(&mut current, &mut running);
            tokio::select! {
                changed = current.changed() => if changed.is_err() { return },
                () = running.next(), if !running.is_empty() => {}
            }
        }
    }

    /// Starts what is owed and not under way, the oldest first, and gives up what is not owed any more.
    fn follow(&self, current: &mut watch::Receiver<Current>, running: &mut Running) {
        let Current { state, snapshot, .. } = current.borrow_and_update().clone();
        if snapshot.generation == 0 {
            // Nothing is configured yet: which hooks there are is not known.
            return;
        }
        let mut wanted = BTreeSet::new();
        for (name, service) in &state.services {
            let hooks = &service.hooks;
            let asked = hooks.asked.as_ref().filter(|asked| asked.answer == Leave::Awaited);
            if let Some(Asked { to, epoch, at, .. }) = asked {
                let job = Job::Asked(name.clone(), to.clone(), *epoch, *at);
                wanted.insert(job.clone());
                running.start(job, || self.flip(Arc::clone(service), to.clone(), *epoch, *at));
            }
            let mut lanes = BTreeMap::new();
            for (&number, owed) in &hooks.owed {
                let under_way = lanes.entry((owed.turn.on, &owed.url)).or_insert(0_usize);
                if *under_way >= RUNNING_PER_HOOK {
                    continue;
                }
                *under_way += 1;
                let job = Job::Owed(name.clone(), number, owed.turn.at);
                wanted.insert(job.clone());
                running.start(job, || self.tell(Arc::clone(service), number, Arc::clone(owed)));
            }
        }
        running.keep_only(&wanted);
    }

    /// Makes one call that is owed, and reports how it ended.
    fn tell(
        &self,
        service: Arc<Service>,
        number: u64,
        owed: Arc<Owed>,
    ) -> impl Future<Output = ()> + Send + use<> {
        let (control, means) = (self.control.clone(), self.means.clone());
        async move {
            let hooks = &service.policy.hooks;
            let hook = hooks.iter().find(|hook| hook.on == owed.turn.on && hook.url == owed.url);
            let call = match hook {
                Some(hook) => {
                    deliver(&means, &service.name, hook, (number, &owed.turn), Patience::NEWS).await
                }
                None => without_hook(number, &owed),
            };
            report(&control, &service.name, HookReport::Ended { owed: number, call }).await;
        }
    }

    /// Asks the hooks about a flip that waits for them in mode `auto`.
    fn flip(
        &self,
        service: Arc<Service>,
        to: VersionLabel,
        epoch: Epoch,
        at: Timestamp,
    ) -> impl Future<Output = ()> + Send + use<> {
        let (control, means) = (self.control.clone(), self.means.clone());
        async move {
            let (calls, leave) = ask(&means, &service, &to, at).await;
            report(&control, &service.name, HookReport::Answered { to, epoch, calls, leave }).await;
        }
    }
}

/// The configuration changed since.
fn without_hook(number: u64, owed: &Owed) -> Ended {
    Ended {
        number,
        turn: owed.turn.clone(),
        origin: owed.url.origin(),
        is_delivered: false,
        status: None,
        tries: 0,
        took: Millis::ZERO,
        said: "the service has no such hook any more".to_owned(),
    }
}

/// Reports until it is committed: else the call would be made again.
async fn report(control: &Control, service: &ServiceName, report: HookReport) {
    let mut pause = REPORT_PAUSE;
    loop {
        let command = Command::Service(service.clone(), Change::Hook(report.clone()));
        match control.submit(Request::new(command, Actor::cutover())).await {
            // Whether workers serve it makes no difference: nothing is served differently.
            Ok(_) | Err(SubmitError::NotServed { .. } | SubmitError::Stopped) => return,
            Err(SubmitError::Rejected(rejected)) => {
                tracing::debug!(%service, %rejected, "nobody wants to know how a hook ended");
                return;
            }
            Err(error) => {
                tracing::debug!(%service, %error, "how a hook ended is reported again");
                sleep(pause).await;
                pause = (pause * 2).min(REPORT_PAUSE_MAX);
            }
        }
    }
}

/// What is under way.
#[derive(Default)]
struct Running {
    tasks: JoinSet<Job>,
    jobs: BTreeMap<Job, AbortHandle>,
}

impl Running {
    fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    fn start<F: Future<Output = ()> + Send + 'static>(&mut self, job: Job, work: impl FnOnce() -> F) {
        if self.jobs.contains_key(&job) || self.jobs.len() >= RUNNING_MAX {
            return;
        }
        let (work, ended) = (work(), job.clone());
        let task = self.tasks.spawn(async move {
            work.await;
            ended
        });
        self.jobs.insert(job, task);
    }

    fn keep_only(&mut self, wanted: &BTreeSet<Job>) {
        self.jobs.retain(|job, task| {
            let is_wanted = wanted.contains(job);
            if !is_wanted {
                task.abort();
            }
            is_wanted
        });
    }

    /// Waits for the next one that ends. One that broke is made again when the state changes.
    async fn next(&mut self) {
        match self.tasks.join_next().await {
            Some(Ok(job)) => drop(self.jobs.remove(&job)),
            Some(Err(error)) if error.is_panic() => {
                tracing::error!(%error, "the call of a hook broke");
                self.jobs.retain(|_, task| !task.is_finished());
            }
            _ => {}
        }
    }
}
