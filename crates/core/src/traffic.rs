//! What the data plane counts while it works: cells that workers write with relaxed atomics and the control plane reads.
//!
//! A cell belongs to a backend or a version, not to a snapshot: compiling a new snapshot passes it on. Facts coalesce in place
//! (latest state, highest value), so that no queue can grow and no request waits for a reader.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use arc_swap::ArcSwapOption;

use crate::answers::Answers;
use crate::id::VersionLabel;
use crate::report::Load;
use crate::time::{Millis, Timestamp};

/// Cells of one version.
#[derive(Debug, Default)]
pub struct VersionTraffic {
    in_flight: AtomicU64,
    tunnels: AtomicU64,
    elsewhere: Elsewhere,
    latest_pin_expiry: AtomicU64,
    /// How the version answers.
    pub answers: Answers,
    /// Place of the next turn of round robin. Only this cell is part of a decision and not of a report.
    pub(crate) turn: AtomicU64,
}

/// What other processes of this node do for a version: those that were replaced and finish what they began.
#[derive(Debug, Default)]
struct Elsewhere {
    in_flight: AtomicU64,
    tunnels: AtomicU64,
}

/// Cells of one backend.
#[derive(Debug, Default)]
pub struct BackendTraffic {
    in_flight: AtomicU32,
    /// Requests of other processes of this node. No request is balanced by it.
    elsewhere: AtomicU32,
    connections: AtomicU32,
    consecutive_errors: AtomicU32,
    latency: AtomicU64,
    latency_at: AtomicU64,
    lost_generation: AtomicU32,
    latest_pin_expiry: AtomicU64,
    sighting: ArcSwapOption<Sighting>,
}

/// What a backend's answer said about the process that gave it, where that was news.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// The generation of the connection that the answer came over.
    pub generation: u32,
    /// The version that it named, if it named one.
    pub version: Option<VersionLabel>,
    /// The process that it named, if it named one.
    pub boot_id: Option<String>,
}

impl VersionTraffic {
    /// Requests that were decided for the version and are not answered to the last byte, tunnels included.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.in_flight.load(Relaxed)
    }

    /// Tunnels (WebSocket and other upgrades) that are open.
    #[must_use]
    pub fn tunnels(&self) -> u64 {
        self.tunnels.load(Relaxed)
    }

    /// What is done for the version, by all processes of this node.
    #[must_use]
    pub fn load(&self) -> Load {
        Load {
            in_flight: self.in_flight() + self.elsewhere.in_flight.load(Relaxed),
            tunnels: self.tunnels() + self.elsewhere.tunnels.load(Relaxed),
            latest_pin_expiry: self.latest_pin_expiry(),
        }
    }

    /// Notes what the other processes of this node do for the version: everything that they do, each time.
    pub fn note_elsewhere(&self, load: Load) {
        self.elsewhere.in_flight.store(load.in_flight, Relaxed);
        self.elsewhere.tunnels.store(load.tunnels, Relaxed);
        self.note_pin_expiry(load.latest_pin_expiry);
    }

    /// The latest expiry of any pin that this process handed out for the version.
    #[must_use]
    pub fn latest_pin_expiry(&self) -> Timestamp {
        Timestamp(self.latest_pin_expiry.load(Relaxed))
    }

    /// Notes the expiry of a pin that is about to be handed out.
    pub fn note_pin_expiry(&self, expiry: Timestamp) {
        note_latest(&self.latest_pin_expiry, expiry);
    }
}

impl BackendTraffic {
    /// Requests that the backend is answering.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// The same, with those of the other processes of this node.
    #[must_use]
    pub fn in_flight_everywhere(&self) -> u32 {
        self.in_flight().saturating_add(self.elsewhere.load(Relaxed))
    }

    /// Notes how many requests of other processes of this node the backend is answering.
    pub fn note_elsewhere(&self, in_flight: u32) {
        self.elsewhere.store(in_flight, Relaxed);
    }

    /// Connections that are open or being opened to the backend, over all workers.
    #[must_use]
    pub fn connections(&self) -> u32 {
        self.connections.load(Relaxed)
    }

    /// Takes one of `limit` connections (0 = no limit); `None` when all are taken. Dropping the guard gives it back.
    #[must_use]
    pub fn take_connection(self: &Arc<Self>, limit: u32) -> Option<ConnectionGuard> {
        let before = self.connections.fetch_add(1, Relaxed);
        if limit > 0 && before >= limit {
            self.connections.fetch_sub(1, Relaxed);
            return None;
        }
        Some(ConnectionGuard(Arc::clone(self)))
    }

    /// Gateway errors (connect failures, resets, 502, 503, 504) since the last good answer.
    #[must_use]
    pub fn consecutive_errors(&self) -> u32 {
        self.consecutive_errors.load(Relaxed)
    }

    /// Notes a gateway error and answers how many there were in a row.
    pub fn note_error(&self) -> u32 {
        self.consecutive_errors.fetch_add(1, Relaxed).saturating_add(1)
    }

    /// Notes an answer that is no gateway error.
    pub fn note_success(&self) {
        // Read first: in steady state the line stays shared between cores.
        if self.consecutive_errors.load(Relaxed) != 0 {
            self.consecutive_errors.store(0, Relaxed);
        }
    }

    /// Forgets the errors, after an ejection.
    pub fn forget_errors(&self) {
        self.consecutive_errors.store(0, Relaxed);
    }

    /// Says that the process which was known under `generation` may be gone. Nothing more is sent to the backend, by any
    /// worker, until the control plane publishes a newer generation.
    /// Answers whether this is news.
    pub fn note_identity_lost(&self, generation: u32) -> bool {
        self.lost_generation.fetch_max(generation, Relaxed) < generation
    }

    /// The latest identity generation that was lost; 0 when none ever was.
    #[must_use]
    pub fn lost_generation(&self) -> u32 {
        self.lost_generation.load(Relaxed)
    }

    /// Notes that another version or process answered than the one that was known under the sighting's generation. Nothing more is
    /// sent to it under that generation. The latest generation wins.
    /// Answers whether this is news.
    pub fn note_sighting(&self, sighting: Sighting) -> bool {
        let generation = sighting.generation;
        let seen = Arc::new(sighting);
        self.sighting.rcu(|known| match known {
            Some(known) if known.generation >= generation => Some(Arc::clone(known)),
            _ => Some(Arc::clone(&seen)),
        });
        self.note_identity_lost(generation)
    }

    /// What was noted by [`note_sighting`](Self::note_sighting) last.
    #[must_use]
    pub fn sighting(&self) -> Option<Arc<Sighting>> {
        self.sighting.load_full()
    }

    /// The latest expiry of any pin that this process handed out and that names the backend.
    #[must_use]
    pub fn latest_pin_expiry(&self) -> Timestamp {
        Timestamp(self.latest_pin_expiry.load(Relaxed))
    }

    /// Notes the expiry of a pin that names the backend and is about to be handed out.
    pub fn note_pin_expiry(&self, expiry: Timestamp) {
        note_latest(&self.latest_pin_expiry, expiry);
    }

    /// Adds a latency to the moving average: peaks count at once, the rest decays over ten seconds (as in Finagle's peak EWMA).
    /// Lost updates between workers are harmless.
    pub fn note_latency(&self, latency_us: u64, now: Timestamp) {
        let elapsed = now.since(Timestamp(self.latency_at.swap(now.0, Relaxed)));
        let old = self.latency.load(Relaxed);
        self.latency.store(decayed(old, latency_us, elapsed), Relaxed);
    }

    /// The moving average of the latency in microseconds.
    #[must_use]
    pub fn latency_us(&self) -> u64 {
        self.latency.load(Relaxed)
    }
}

fn note_latest(cell: &AtomicU64, time: Timestamp) {
    if cell.load(Relaxed) < time.0 {
        cell.fetch_max(time.0, Relaxed);
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an average of microseconds needs no more than 52 bits and is never negative"
)]
fn decayed(old: u64, latest: u64, elapsed: Millis) -> u64 {
    const DECAY_MS: f64 = 10_000.0;
    if latest >= old {
        return latest;
    }
    if elapsed.0 == 0 {
        // Nothing has decayed, which is so for most answers of a busy backend.
        return old;
    }
    let keep = (-(elapsed.0 as f64) / DECAY_MS).exp();
    (old as f64 * keep + latest as f64 * (1.0 - keep)) as u64
}

/// One of a backend's connections; dropping it gives it back.
#[derive(Debug)]
pub struct ConnectionGuard(Arc<BackendTraffic>);

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Relaxed);
    }
}

/// A request in flight on a version, from its decision to its last byte. A drain can't end while one exists.
#[derive(Debug)]
pub struct InFlight {
    version: Arc<VersionTraffic>,
    is_tunnel: bool,
}

impl InFlight {
    /// Begins a request.
    #[must_use]
    pub fn begin(version: &Arc<VersionTraffic>) -> Self {
        version.in_flight.fetch_add(1, Relaxed);
        Self { version: Arc::clone(version), is_tunnel: false }
    }

    /// Says that the request became a tunnel.
    pub fn becomes_tunnel(&mut self) {
        if !self.is_tunnel {
            self.is_tunnel = true;
            self.version.tunnels.fetch_add(1, Relaxed);
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if self.is_tunnel {
            self.version.tunnels.fetch_sub(1, Relaxed);
        }
        self.version.in_flight.fetch_sub(1, Relaxed);
    }
}

/// A request in flight on a backend.
#[derive(Debug)]
pub struct BackendInFlight(Arc<BackendTraffic>);

impl BackendInFlight {
    /// Begins a request.
    #[must_use]
    pub fn begin(backend: &Arc<BackendTraffic>) -> Self {
        backend.in_flight.fetch_add(1, Relaxed);
        Self(Arc::clone(backend))
    }
}

impl Drop for BackendInFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests;
