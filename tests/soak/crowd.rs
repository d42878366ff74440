//! All visitors: a constant number of places, each taken by one visitor after the other and judged when that one leaves.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::deck::Dice;
use super::judge::judge;
use super::run::Run;
use super::trace::{Visit, Visitor};
use super::wire::{Protocol, roots};
use super::{rpc, tunnel, visit};

/// Places of each protocol of sessions.
const SESSIONS: usize = 8;
/// Places of WebSockets, half of them by TLS.
const TUNNELS: usize = 8;
/// Places of callers of gRPC.
const CALLERS: usize = 4;
/// After a visit that failed: who finds a closed door does not knock at once.
const REST: Duration = Duration::from_millis(200);
/// Longest time for everybody to leave.
const LEAVE_LIMIT: Duration = Duration::from_secs(120);

/// Who sits at a place.
#[derive(Clone, Copy, Debug)]
enum Place {
    Session(Protocol),
    Tunnel { is_tls: bool },
    Caller,
}

/// Running visitors.
#[derive(Debug)]
pub(crate) struct Crowd(JoinSet<()>);

impl Crowd {
    pub(crate) fn enter(run: &Arc<Run>, directory: &Path) -> Self {
        let certificate = std::fs::read(directory.join("edge.der")).unwrap();
        let (h2, h1) = (roots(certificate.clone(), "h2"), roots(certificate, "http/1.1"));
        let sessions = (0..SESSIONS * 3).map(|number| Place::Session(Protocol::ALL[number % 3]));
        let tunnels = (0..TUNNELS).map(|number| Place::Tunnel { is_tls: number % 2 == 0 });
        let places = sessions.chain(tunnels).chain((0..CALLERS).map(|_| Place::Caller));
        let mut crowd = JoinSet::new();
        for (number, place) in places.enumerate() {
            let (run, h1, h2) = (Arc::clone(run), Arc::clone(&h1), Arc::clone(&h2));
            let mut dice = Dice::new(run.options.seed, 1_000 + number as u64);
            crowd.spawn(async move {
                while !run.is_closed() {
                    let visit = match place {
                        Place::Session(protocol) => visit::visit(&run, &h2, protocol, &mut dice).await,
                        Place::Tunnel { is_tls } => {
                            tunnel::visit(&run, is_tls.then_some(&h1), &mut dice).await
                        }
                        Place::Caller => rpc::visit(&run).await,
                    };
                    let has_failed = !visit.failures.is_empty();
                    conclude(&run, &visit);
                    if has_failed {
                        tokio::time::sleep(REST).await;
                    }
                }
            });
        }
        Self(crowd)
    }

    /// Waits until the last one has left, which is to be told to them before.
    pub(crate) async fn leave(mut self, run: &Run) {
        let left = async {
            while let Some(ended) = self.0.join_next().await {
                if let Err(error) = ended {
                    run.find(format!("a visitor broke off: {error}"));
                }
            }
        };
        if tokio::time::timeout(LEAVE_LIMIT, left).await.is_err() {
            run.find(format!("visitors were still waiting {LEAVE_LIMIT:?} after they were told to leave"));
        }
    }
}

fn conclude(run: &Run, visit: &Visit) {
    let service = if visit.visitor == Visitor::Caller { "rpc" } else { "web" };
    judge(visit, &run.world(service), &mut run.tally());
    run.tell_news();
}
