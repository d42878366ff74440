//! The attempts of a running process to be replaced: one at a time, asked for by the admin API or a signal.

use std::time::Duration;

use cutover_control::admin::{Ask, Successor, UpgradeError};
use prometheus::{IntCounterVec, Opts, Registry};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::Planes;
use crate::upgrade::{HandOver, Heir, Program, Sockets};

/// What came of attempts, for Prometheus.
const OUTCOMES: [&str; 2] = ["done", "failed"];

/// Attempts that were made or are under way.
pub(super) struct Attempts {
    program: Program,
    timeout: Duration,
    counts: IntCounterVec,
    under_way: Option<JoinHandle<Result<Heir, String>>>,
    /// Who waits for the one that is under way, if it was asked for over the admin API.
    waiting: Option<Ask>,
}

impl Attempts {
    /// None yet. That this process replaced another one counts.
    ///
    /// # Errors
    /// There is a metric of that name already.
    pub(super) fn new(
        program: Program,
        timeout: Duration,
        registry: &Registry,
        is_upgraded: bool,
    ) -> prometheus::Result<Self> {
        let help = "Upgrades of the proxy itself, by what came of them; those that were done are counted by the new process.";
        let counts = IntCounterVec::new(Opts::new("cutover_upgrades_total", help), &["outcome"])?;
        registry.register(Box::new(counts.clone()))?;
        for outcome in OUTCOMES {
            counts.with_label_values(&[outcome]);
        }
        if is_upgraded {
            counts.with_label_values(&["done"]).inc();
        }
        Ok(Self { program, timeout, counts, under_way: None, waiting: None })
    }

    /// Waits for somebody to ask over the admin API.
    pub(super) async fn asked(asks: &mut mpsc::Receiver<Ask>) -> Ask {
        match asks.recv().await {
            Some(ask) => ask,
            None => std::future::pending().await,
        }
    }

    /// Begins one, unless one is under way.
    pub(super) fn begin(&mut self, planes: &Planes, ask: Option<Ask>) {
        if self.under_way.is_some() {
            tracing::warn!("an upgrade is under way already");
            return answer(ask, Err(UpgradeError::UnderWay));
        }
        let clients = planes.proxy.sockets();
        let sockets = clients.and_then(|clients| Ok(Sockets { clients, admin: planes.admin.sockets()? }));
        let sockets = match sockets {
            Ok(sockets) => sockets,
            Err(error) => return self.fail(ask, format!("the sockets can't be handed over: {error}")),
        };
        let hand_over = HandOver {
            program: self.program.clone(),
            sockets,
            control: planes.control.control(),
            store: planes.store.clone(),
            timeout: self.timeout,
        };
        self.waiting = ask;
        self.under_way = Some(tokio::spawn(hand_over.attempt()));
    }

    /// Waits until the one that is under way has succeeded, and answers who waits to be told; those that fail are told about. May be
    /// dropped and called again.
    pub(super) async fn succeeded(&mut self) -> (Heir, Option<Ask>) {
        loop {
            let Some(attempt) = &mut self.under_way else { return std::future::pending().await };
            let outcome = attempt.await;
            self.under_way = None;
            let ask = self.waiting.take();
            match outcome.unwrap_or_else(|error| Err(format!("the attempt broke: {error}"))) {
                Ok(heir) => return (heir, ask),
                Err(reason) => self.fail(ask, reason),
            }
        }
    }

    /// Gives up the one that is under way: the new process is killed.
    pub(super) fn give_up(&mut self) {
        if let Some(attempt) = self.under_way.take() {
            attempt.abort();
        }
    }

    fn fail(&self, ask: Option<Ask>, reason: String) {
        self.counts.with_label_values(&["failed"]).inc();
        tracing::error!(reason, "the upgrade failed, this process goes on as before");
        answer(ask, Err(UpgradeError::Failed(reason)));
    }
}

/// Tells whoever asked, if anybody did.
pub(super) fn answer(ask: Option<Ask>, outcome: Result<Successor, UpgradeError>) {
    if let Some(ask) = ask {
        // Nobody may wait for it any more.
        drop(ask.send(outcome));
    }
}
