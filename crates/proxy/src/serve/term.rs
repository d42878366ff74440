//! How long a tunnel or a stream may last. It belongs to the view by which it was decided, in which nothing ever changes; this looks at
//! the latest one, whenever there is another.

use std::rc::Rc;
use std::time::Duration;

use cutover_core::decide::PinAction;
use cutover_core::mix::{mix, unit};
use cutover_core::tie::{self, Tie};
use cutover_core::time::Timestamp;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};

use crate::serve::decide::Decided;
use crate::worker::Worker;

/// The latest view is looked at this often, also when there was no other: the wall clock may have been corrected.
const LOOK_WITHIN: Duration = Duration::from_secs(60);
/// When the proxy ends, what lasts is ended over this time at most. The rest of the time for the end is for goodbyes.
const SPREAD_MAX: Duration = Duration::from_secs(5);

/// What something that lasts depends on.
pub(crate) struct Term {
    worker: Rc<Worker>,
    tie: Tie,
    /// Over which time whatever leaves together is spread.
    spread: Duration,
}

impl Term {
    /// The term of something that was decided for this, and is carried by `member`.
    pub(crate) fn of(worker: &Rc<Worker>, decided: &Decided, member: usize) -> Self {
        let (set, version) = (&decided.service.set, decided.version_set());
        let (id, epoch) = match decided.choice.pin {
            // A pin of a later epoch tells that this view is outdated.
            PinAction::Keep(pin) | PinAction::Hand(pin, _) => (pin.id, pin.epoch.max(set.epoch)),
            PinAction::None | PinAction::Preview => (worker.entropy.borrow_mut().word(), set.epoch),
        };
        let tie = Tie {
            service: set.name.clone(),
            version: version.label.clone(),
            backend: version.members[member].id.clone(),
            id,
            epoch,
            is_preview: decided.preview.is_some(),
        };
        Self { worker: Rc::clone(worker), tie, spread: set.policy.drain.spread.into() }
    }

    /// Waits until it has to go.
    pub(crate) async fn over(self) {
        self.wait().await;
        // The news may be here before the event loop has seen what came over the sockets, and that is to go out first.
        yield_now().await;
    }

    async fn wait(&self) {
        let worker = &self.worker;
        while !worker.stop.is_hasty() {
            let left = match self.tie.term(&worker.view().snapshot) {
                tie::Term::Over => return,
                tie::Term::Open => LOOK_WITHIN,
                tie::Term::Until(at) => {
                    let left = Duration::from(at.since(worker.clock.now()));
                    if left.is_zero() {
                        return;
                    }
                    left.min(LOOK_WITHIN)
                }
            };
            tokio::select! {
                () = worker.changed(Instant::now() + left) => {}
                () = worker.stop.hastened() => {}
            }
        }
        sleep(self.spread.min(SPREAD_MAX).mul_f64(unit(mix(self.tie.id)))).await;
    }
}

impl Decided {
    /// Whether sessions are being evicted from its version, or from this member of it. A search is of none of its sessions.
    pub(crate) fn is_being_evicted(&self, member: usize, now: Timestamp) -> bool {
        if self.is_search {
            return false;
        }
        let version = self.version_set();
        let windows = [version.eviction, version.members[member].eviction];
        windows.iter().flatten().any(|(begins, _)| *begins <= now)
    }
}
