//! A worker of the data plane: reads snapshots, keeps connections, and sends requests as the proxy does.

use std::collections::BTreeMap;
use std::sync::Arc;

use cutover_core::address::Address;
use cutover_core::decide::{Choice, Decision, Facts};
use cutover_core::entropy::Entropy;
use cutover_core::id::BackendId;
use cutover_core::pin::NoPin;
use cutover_core::policy::IdentitySource;
use cutover_core::publish::SnapshotReader;
use cutover_core::retry::{self, Failure, Replay};
use cutover_core::snapshot::{BackendEntry, ServiceSet, Snapshot};
use cutover_core::time::Timestamp;
use cutover_core::traffic::{BackendInFlight, BackendTraffic, InFlight, Sighting};

use crate::fleet::{Fleet, Process};

/// Most idle connections to one backend.
const IDLE_MAX: usize = 4;

/// It reads the newest snapshot whenever it has a request; while it is idle it lags.
pub(crate) struct Worker {
    reader: SnapshotReader,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) in_flight: Vec<Held>,
    pools: BTreeMap<BackendId, Pool>,
}

/// Idle connections to one backend.
struct Pool {
    traffic: Arc<BackendTraffic>,
    address: Address,
    idle: Vec<Connection>,
}

/// A connection to one process, and the generation that was meant when it was opened.
#[derive(Clone, Copy)]
struct Connection {
    generation: u32,
    process: u64,
}

/// A request that is being answered.
pub(crate) struct Held {
    _version: InFlight,
    _backend: BackendInFlight,
    pub(crate) label: String,
    pub(crate) entry: Arc<BackendEntry>,
    connection: Connection,
    pub(crate) until: Timestamp,
}

/// What the client gets.
pub(crate) enum Answer {
    /// An answer of this process, behind this backend.
    Of(Process, BackendId),
    /// An error of the proxy's own.
    Failed,
}

/// How a request ended, and whose process was noticed to be gone on the way.
pub(crate) struct Ending {
    pub(crate) answer: Answer,
    pub(crate) noticed: Vec<Arc<BackendEntry>>,
    /// Whether nobody else was left to ask.
    pub(crate) is_last_resort: bool,
}

/// One request on its way.
pub(crate) struct Way<'a> {
    pub(crate) service: &'a Arc<ServiceSet>,
    pub(crate) choice: Choice,
    pub(crate) is_idempotent: bool,
    /// When its last byte will have been sent.
    pub(crate) until: Timestamp,
    /// The time by the clock of the workers.
    pub(crate) wall: Timestamp,
}

impl Worker {
    pub(crate) fn new(reader: SnapshotReader) -> Self {
        Self { snapshot: reader.load(), reader, in_flight: Vec::new(), pools: BTreeMap::new() }
    }

    /// Reads the newest snapshot and says so.
    pub(crate) fn catch_up(&mut self) {
        if self.reader.generation() <= self.snapshot.generation {
            return;
        }
        self.snapshot = self.reader.load();
        let entries = self.snapshot.services.first().map_or(&[][..], |service| &service.backends);
        self.pools.retain(|id, pool| {
            let entry = entries.iter().find(|entry| entry.id == *id).filter(|entry| pool.is_for(entry));
            entry.is_some_and(|entry| {
                pool.idle.retain(|idle| idle.generation == entry.generation);
                true
            })
        });
        self.reader.serve(self.snapshot.generation);
    }

    pub(crate) fn service(&self) -> Option<&Arc<ServiceSet>> {
        self.snapshot.services.first()
    }

    pub(crate) fn decide(&mut self, facts: &Facts<'_>, dice: &mut Entropy) -> Decision {
        self.snapshot.decide(facts, dice)
    }

    /// Sends a request: to the member that was chosen, then to others of its version for as long as that is safe.
    pub(crate) fn forward(&mut self, way: &Way<'_>, fleet: &Fleet, dice: &mut Entropy) -> Ending {
        let version = &way.service.versions[way.choice.version];
        let guard = InFlight::begin(&version.traffic);
        let (mut member, mut tried, mut noticed) = (way.choice.member, Vec::new(), Vec::new());
        loop {
            let entry = Arc::clone(&version.members[member]);
            let in_flight = BackendInFlight::begin(&entry.traffic);
            let (failure, answered) = self.attempt(way, &entry, fleet);
            let Some(failure) = failure else {
                let (connection, process) = answered.unwrap();
                let (label, backend) = (version.label.to_string(), entry.id.clone());
                let until = way.until;
                self.in_flight.push(Held {
                    _version: guard,
                    _backend: in_flight,
                    label,
                    entry,
                    connection,
                    until,
                });
                return Ending { answer: Answer::Of(process, backend), noticed, is_last_resort: false };
            };
            if way.is_strict() {
                noticed.push(Arc::clone(&entry));
            }
            tried.push(member);
            let is_sent = failure != Failure::NotConnected;
            let replay = Replay { is_idempotent: way.is_idempotent, is_body_at_hand: true, is_sent };
            let has_try = tried.len() <= way.service.policy.upstream.retries as usize;
            let other = if has_try { way.again(&tried, dice) } else { None };
            let next = other.filter(|_| retry::may_retry(failure, replay));
            member = match (next, answered) {
                (Some(next), _) => next,
                // Better the answer of another version than none.
                (None, Some((_, process))) => {
                    let answer = Answer::Of(process, entry.id.clone());
                    return Ending { answer, noticed, is_last_resort: other.is_none() };
                }
                (None, None) => return Ending { answer: Answer::Failed, noticed, is_last_resort: true },
            };
        }
    }

    /// Asks one member. An answer by the wrong version is a failure with an answer.
    fn attempt(
        &mut self,
        way: &Way<'_>,
        entry: &Arc<BackendEntry>,
        fleet: &Fleet,
    ) -> (Option<Failure>, Option<(Connection, Process)>) {
        let kept = self.pool(entry).and_then(|pool| pool.idle.pop());
        let Some(process) = fleet.at(&entry.address).running.clone() else {
            entry.traffic.note_error();
            self.note_lost(way, entry);
            return (
                Some(if kept.is_some() { Failure::StaleConnection } else { Failure::NotConnected }),
                None,
            );
        };
        let connection = kept.unwrap_or(Connection { generation: entry.generation, process: process.number });
        if connection.process != process.number {
            // The process at its other end is gone, and so is the connection.
            self.note_lost(way, entry);
            return (Some(Failure::StaleConnection), None);
        }
        if process.is_failing() {
            entry.traffic.note_error();
        }
        let version = &way.service.versions[way.choice.version];
        let is_checked = way.service.policy.identity.source == IdentitySource::Response;
        if let Some(named) = process.named_version().filter(|&named| is_checked && *named != version.label) {
            let named = Some(named.clone());
            let boot_id = fleet.boot_id(&process);
            if entry.traffic.note_sighting(Sighting {
                generation: connection.generation,
                version: named,
                boot_id,
            }) {
                self.reader.alarm();
            }
            return (Some(Failure::WrongVersion), Some((connection, process)));
        }
        (None, Some((connection, process)))
    }

    fn pool(&mut self, entry: &Arc<BackendEntry>) -> Option<&mut Pool> {
        let pool = self.pools.entry(entry.id.clone()).or_insert_with(|| Pool {
            traffic: Arc::clone(&entry.traffic),
            address: entry.address.clone(),
            idle: Vec::new(),
        });
        pool.idle.retain(|idle| idle.generation == entry.generation);
        pool.is_for(entry).then_some(pool)
    }

    fn note_lost(&self, way: &Way<'_>, entry: &BackendEntry) {
        if way.is_strict() && entry.traffic.note_identity_lost(entry.generation) {
            self.reader.alarm();
        }
    }

    /// Ends the requests that are over, and keeps their connections.
    pub(crate) fn finish(&mut self, now: Timestamp) {
        let (over, held) = self.in_flight.drain(..).partition(|held| held.until <= now);
        self.in_flight = held;
        for Held { entry, connection, .. } in Vec::from_iter::<Vec<_>>(over) {
            let is_current = entry.traffic.lost_generation() < connection.generation;
            if let Some(pool) = self.pool(&entry).filter(|pool| is_current && pool.idle.len() < IDLE_MAX) {
                pool.idle.push(connection);
            }
        }
    }

    /// A process died: what it was answering breaks off, which is noticed. Answers by whom.
    pub(crate) fn broke_off(&mut self, process: u64, is_strict: bool) -> Vec<Arc<BackendEntry>> {
        let (broken, held) = self.in_flight.drain(..).partition(|held| held.connection.process == process);
        self.in_flight = held;
        let entries = Vec::from_iter::<Vec<Held>>(broken).into_iter().map(|held| held.entry);
        let entries: Vec<_> = entries.filter(|_| is_strict).collect();
        for entry in &entries {
            if entry.traffic.note_identity_lost(entry.generation) {
                self.reader.alarm();
            }
        }
        entries
    }
}

impl Way<'_> {
    fn is_strict(&self) -> bool {
        self.service.policy.identity.source.is_strict()
    }

    fn again(&self, tried: &[usize], dice: &mut Entropy) -> Option<usize> {
        let facts = Facts::of(0, Err(NoPin::Absent), self.wall);
        self.service.choose_again(&self.service.versions[self.choice.version], tried, &facts, dice)
    }
}

impl Pool {
    fn is_for(&self, entry: &BackendEntry) -> bool {
        Arc::ptr_eq(&self.traffic, &entry.traffic) && self.address == entry.address
    }
}
