//! What every handler of the admin API shares.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::body::Bytes;
use cutover_core::time::{Millis, Timestamp};
use cutover_vault::Vaults;
use tokio::sync::{Semaphore, watch};

use super::auth::Callers;
use super::config::AdminConfig;
use super::guesses::Guesses;
use super::previews::Previews;
use super::problem::Problem;
use super::query::Fresh;
use super::replies::Replies;
use super::serve::closed;
use super::upgrades::Upgrades;
use crate::clock::Clock;
use crate::error::SubmitError;
use crate::handle::{Control, Current};

/// Streams of events that may be open at a time.
const STREAMS_MAX: usize = 256;

/// The admin API of one control plane. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Api(Arc<Shared>);

struct Shared {
    control: Control,
    registry: prometheus::Registry,
    callers: Callers,
    guesses: Guesses,
    names: Vec<String>,
    replies: Arc<Replies>,
    streams: Arc<Semaphore>,
    closing: watch::Receiver<bool>,
    document: OnceLock<Bytes>,
    vaults: Arc<Vaults>,
    clock: Clock,
    previews: Previews,
    upgrades: Option<Upgrades>,
}

impl Api {
    /// An API that ends its waits and streams once `closing` turns true.
    ///
    /// # Errors
    /// `registry` has metrics of its names already.
    pub(crate) fn new(
        config: &AdminConfig,
        control: Control,
        registry: prometheus::Registry,
        closing: watch::Receiver<bool>,
    ) -> prometheus::Result<Self> {
        Ok(Self(Arc::new(Shared {
            control,
            guesses: Guesses::new(&registry)?,
            registry,
            callers: Callers::new(config),
            names: config.names.clone(),
            replies: Arc::default(),
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            closing,
            document: OnceLock::new(),
            vaults: Arc::clone(&config.vaults),
            clock: Clock::start(),
            previews: config.previews.clone(),
            upgrades: config.upgrades.clone(),
        })))
    }

    pub(crate) fn control(&self) -> &Control {
        &self.0.control
    }

    pub(crate) fn registry(&self) -> &prometheus::Registry {
        &self.0.registry
    }

    pub(crate) fn callers(&self) -> &Callers {
        &self.0.callers
    }

    /// The wrong tokens that were presented lately.
    pub(crate) fn guesses(&self) -> &Guesses {
        &self.0.guesses
    }

    pub(crate) fn names(&self) -> &[String] {
        &self.0.names
    }

    pub(crate) fn replies(&self) -> &Arc<Replies> {
        &self.0.replies
    }

    pub(crate) fn streams(&self) -> &Arc<Semaphore> {
        &self.0.streams
    }

    /// How previews are made.
    pub(crate) fn previews(&self) -> &Previews {
        &self.0.previews
    }

    /// Whoever replaces this process by another one.
    pub(crate) fn upgrades(&self) -> Option<&Upgrades> {
        self.0.upgrades.as_ref()
    }

    pub(crate) fn vaults(&self) -> &Vaults {
        &self.0.vaults
    }

    /// The OpenAPI document, written once.
    pub(crate) fn document(&self, write: impl FnOnce() -> Bytes) -> Bytes {
        self.0.document.get_or_init(write).clone()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// Resolves when the listener is about to stop.
    pub(crate) async fn closed(&self) {
        closed(&mut self.0.closing.clone()).await;
    }

    /// The state, once it is newer than the caller's or the caller's time is over.
    pub(crate) async fn fresh(&self, fresh: Fresh) -> Current {
        let Some(seen) = fresh.newer_than else { return self.control().current() };
        let newer = self.wait(fresh.timeout, |current| current.revision > seen).await;
        newer.unwrap_or_else(|_| self.control().current())
    }

    /// The state for which `is_reached` holds; `None` when `timeout` is over before.
    ///
    /// # Errors
    /// 503 when the process stops before.
    pub(crate) async fn wait(
        &self,
        timeout: Millis,
        is_reached: impl FnMut(&Current) -> bool + Send,
    ) -> Result<Current, Unreached> {
        let reached = tokio::time::timeout(Duration::from(timeout), self.control().wait_until(is_reached));
        tokio::select! {
            reached = reached => match reached {
                Ok(Ok(current)) => Ok(current),
                Ok(Err(error)) => Err(Unreached::Stopped(error.into())),
                Err(_) => Err(Unreached::TimedOut),
            },
            () = self.closed() => Err(Unreached::Stopped(SubmitError::Stopped.into())),
        }
    }
}

/// Why a wait ended without what was waited for.
#[derive(Debug)]
pub(crate) enum Unreached {
    /// Its time was over.
    TimedOut,
    /// The process stops.
    Stopped(Problem),
}
