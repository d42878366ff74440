//! Keeps the backend registered, beside whatever else the agent does.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::backend::{Backend, Process, failure};
use super::backoff::entropy;
use super::lease::{Call, Failure, Lease, News};

/// Time for one call: as long as another can follow within the lease, within these.
const CALL_TIMEOUT_MIN: Duration = Duration::from_secs(1);
const CALL_TIMEOUT_MAX: Duration = Duration::from_secs(10);

/// The registration of a running app.
#[derive(Debug)]
pub(super) struct Registration {
    wanted: watch::Sender<Wanted>,
    task: JoinHandle<()>,
}

/// What cutover is to be told.
#[derive(Debug, Clone)]
struct Wanted {
    /// What runs.
    process: Process,
    /// That it leaves, with this time for what is in flight.
    drain: Option<Duration>,
}

impl Registration {
    /// Registers the backend with `process`, and goes on trying if that fails.
    pub(super) fn begin(backend: Arc<Backend>, process: Process) -> Self {
        let (wanted, follow) = watch::channel(Wanted { process, drain: None });
        Self { wanted, task: tokio::spawn(keep(backend, follow)) }
    }

    /// The app was restarted: `process` is told at once.
    pub(super) fn renew(&self, process: Process) {
        self.wanted.send_modify(|wanted| wanted.process = process);
    }

    /// Leaves the service, with `drain` for what is in flight. Returns when that is done, or known to be
    /// impossible. May be dropped, but not called again.
    pub(super) async fn leave(&mut self, drain: Duration) {
        self.wanted.send_modify(|wanted| wanted.drain = Some(drain));
        // A task that panicked keeps nothing registered for longer than the lease.
        let _ = (&mut self.task).await;
    }
}

/// Ends when it is wanted, after the call that is under way: one that is given up may still have its effect, after the next one's.
async fn keep(backend: Arc<Backend>, mut wanted: watch::Receiver<Wanted>) {
    let mut lease = Lease::new(backend.ttl);
    let limit = lease.beat().clamp(CALL_TIMEOUT_MIN, CALL_TIMEOUT_MAX);
    loop {
        let Wanted { process, drain } = wanted.borrow_and_update().clone();
        if let Some(drain) = drain {
            if !lease.is_static() {
                leave(&backend, &process, drain, lease.beat(), limit).await;
            }
            return;
        }
        let (pause, news) = lease.hear(backend.say(lease.next(), &process, limit).await, entropy());
        if let Some(news) = news {
            tell(&news);
        }
        tokio::select! {
            () = sleep(pause) => {}
            changed = wanted.changed() => match changed {
                Ok(()) => lease.renew(),
                // Nobody is left to keep it for.
                Err(_) => return,
            },
        }
    }
}

/// A lease may be shorter than a drain, so it is kept meanwhile.
async fn leave(backend: &Backend, process: &Process, drain: Duration, beat: Duration, limit: Duration) {
    let beats = async {
        loop {
            sleep(beat).await;
            // Whatever it is answered: to register again would end the drain.
            backend.say(Call::Heartbeat, process, limit).await;
        }
    };
    let left = tokio::select! {
        left = backend.leave(drain, limit) => left,
        () = beats => return,
    };
    match left {
        Ok(()) => tracing::info!("left the service"),
        Err(error) => tracing::warn!(cause = failure(&error).text(), "can't leave the service"),
    }
}

fn tell(news: &News) {
    match news {
        News::Stands(standing) => {
            let version = standing.version.as_deref().unwrap_or("unknown");
            let role = standing.role.as_deref().unwrap_or("none");
            tracing::info!(version, role, admin = standing.admin, "registered");
        }
        News::Defined => {
            tracing::info!("the configuration file of cutover defines this backend: it has no lease");
        }
        News::Lost => tracing::warn!("cutover does not know this backend any more: it is registered again"),
        News::Failed(Failure::Away(cause)) => {
            tracing::warn!(%cause, "the app goes on; cutover is told when it can be reached");
        }
        News::Failed(Failure::Refused(cause)) => {
            tracing::warn!(%cause, "cutover does not take the app; it is asked again and again");
        }
    }
}
