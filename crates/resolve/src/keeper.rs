//! Looks every name up, again and again, each when the TTL of its last answer is over.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::belief::{Belief, News};
use crate::dns::Dns;
use crate::error::LookUpError;
use crate::name::{Known, Name};

/// Look-ups that run at a time. The others wait for their turn, with their last answers in use.
const LOOK_UPS_MAX: usize = 64;
/// How long a look-up may take, through all servers, attempts and search domains.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is looked whether the files that say how to look up have changed.
const LOOK_AT_FILES_EVERY: Duration = Duration::from_secs(5);
/// How long a name that nobody holds is kept: one who asks again, as probes do, is not to wait.
const KEPT_UNUSED: Duration = Duration::from_secs(60);

/// The task that looks names up.
#[derive(Debug)]
pub struct Keeper {
    dns: Arc<Dns>,
    known: Known,
    new: mpsc::UnboundedReceiver<Arc<Name>>,
}

impl Keeper {
    pub(crate) fn new(dns: Dns, known: Known, new: mpsc::UnboundedReceiver<Arc<Name>>) -> Self {
        Self { dns: Arc::new(dns), known, new }
    }

    /// Keeps names resolved until the last [`Names`](crate::Names) is gone.
    pub async fn run(mut self) {
        let mut kept = JoinSet::new();
        let turns = Arc::new(Semaphore::new(LOOK_UPS_MAX));
        let (changed, changes) = watch::channel(());
        let mut look = interval(LOOK_AT_FILES_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                name = self.new.recv() => {
                    let Some(name) = name else { return };
                    let dns = Arc::clone(&self.dns);
                    kept.spawn(keep(name, dns, self.known.clone(), Arc::clone(&turns), changes.clone()));
                }
                _ = look.tick() => if self.dns.renew() {
                    tracing::info!("the system's way to look names up has changed");
                    changed.send_replace(());
                },
                Some(ended) = kept.join_next() => if let Err(error) = ended {
                    tracing::error!(%error, "a name is not looked up any more");
                },
            }
        }
    }
}

/// Keeps one name resolved for as long as somebody uses it.
async fn keep(
    name: Arc<Name>,
    dns: Arc<Dns>,
    known: Known,
    turns: Arc<Semaphore>,
    mut changes: watch::Receiver<()>,
) {
    let mut belief = Belief::default();
    let mut unused = Duration::ZERO;
    while unused < KEPT_UNUSED || !known.forget_unused(&name) {
        let found = {
            let _turn = turns.acquire().await;
            timeout(PATIENCE, dns.look_up(name.host())).await
        };
        let found = found.unwrap_or_else(|elapsed| Err(LookUpError::Failed(Arc::new(elapsed))));
        let failure = found.as_ref().err().map(ToString::to_string);
        let (news, again) = belief.hear(found);
        tell(&name, &news, failure);
        name.hear(news);
        unused = if Known::is_held(&name) { Duration::ZERO } else { unused + again };
        // Whether it is time or the files changed, the name is looked up.
        let _ = timeout(again, changes.changed()).await;
    }
}

fn tell(name: &Name, news: &News, failure: Option<String>) {
    let host = name.host();
    match (news, failure) {
        (News::Addresses(addresses), _) => tracing::info!(host, ?addresses, "a name has other addresses"),
        (News::Lost(_), Some(failure)) => tracing::warn!(host, failure, "a name has no address"),
        (News::Lost(_), None) => tracing::warn!(host, "a name has no address"),
        (News::None, Some(failure)) => tracing::debug!(host, failure, "the last addresses stay in use"),
        (News::None, None) => {}
    }
}
