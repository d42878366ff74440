//! The life of one certificate: shown, renewed in time, and ordered again and again while there is none.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cutover_tls::challenge::SelfSigned;
use cutover_tls::lifetime::Lifetime;
use cutover_tls::server::ServerTls;
use prometheus::IntCounterVec;
use tokio::time::{sleep, timeout};

use super::Means;
use super::client::Client;
use super::error::OrderError;
use super::files::Files;
use super::order::{self, Issued};
use super::schedule::{self, Attempts};
use crate::config::Acme;

/// For a whole order, whose every request and every wait has a limit of its own.
const ORDER_TIMEOUT: Duration = Duration::from_secs(600);
/// The clock is looked at again at least as often: it may be set, and machines sleep.
const LOOK_EVERY: Duration = Duration::from_secs(3600);

/// Keeps one certificate.
#[derive(Debug)]
pub(super) struct Keeper {
    acme: Acme,
    shown_by: Vec<Arc<ServerTls>>,
    files: Files,
    means: Means,
    orders: IntCounterVec,
    /// When it is to be renewed.
    due: SystemTime,
}

impl Keeper {
    /// Shows the certificate that is kept in `files`. Without one that can be used, clients are shown one that we have signed ourselves.
    pub(super) fn load(
        acme: Acme,
        shown_by: Vec<Arc<ServerTls>>,
        files: Files,
        means: Means,
        orders: IntCounterVec,
    ) -> Self {
        let mut keeper = Self { acme, shown_by, files, means, orders, due: SystemTime::UNIX_EPOCH };
        match keeper.show_kept() {
            Ok(true) => {
                let due = jiff::Timestamp::try_from(keeper.due).ok();
                tracing::info!(domains = ?keeper.acme.domains, due = due.map(tracing::field::display), "a certificate is kept");
            }
            Ok(false) => keeper.show_own(),
            Err(error) => {
                let error = &error as &dyn Error;
                tracing::warn!(domains = ?keeper.acme.domains, error, "the certificate that is kept can't be used");
                keeper.show_own();
            }
        }
        keeper
    }

    /// Orders and renews for ever.
    pub(super) async fn run(mut self) {
        let orders = self.files.orders().unwrap_or_else(|error| {
            let error = &error as &dyn Error;
            tracing::warn!(domains = ?self.acme.domains, error, "nobody knows when a certificate was ordered last");
            Vec::new()
        });
        let mut attempts = Attempts::after(orders);
        loop {
            while let Ok(left) = self.due.duration_since(SystemTime::now()) {
                sleep(left.min(LOOK_EVERY)).await;
            }
            let now = SystemTime::now();
            let pause = attempts.until_free(now);
            if !pause.is_zero() {
                // What is good for minutes only can't be renewed as often as it should be, and who starts again and again would order each time.
                let again_in = pause.as_secs();
                tracing::warn!(domains = ?self.acme.domains, again_in, "a certificate was ordered too often lately to order one now");
                self.due = now + pause;
                continue;
            }
            let got = Box::pin(timeout(ORDER_TIMEOUT, self.get(&mut attempts, now))).await;
            match got.unwrap_or(Err(OrderError::Timeout)) {
                Ok(()) => {
                    attempts.succeed();
                    self.orders.with_label_values(&["issued"]).inc();
                    tracing::info!(domains = ?self.acme.domains, "a certificate was issued");
                }
                Err(error) => {
                    let pause = attempts.fail(SystemTime::now(), entropy());
                    self.due = SystemTime::now() + pause;
                    self.orders.with_label_values(&["failed"]).inc();
                    let error = &error as &dyn Error;
                    let again_in = pause.as_secs();
                    tracing::error!(domains = ?self.acme.domains, error, again_in, "no certificate was issued");
                }
            }
        }
    }

    /// Gets a new certificate, keeps it, and shows it.
    async fn get(&mut self, attempts: &mut Attempts, now: SystemTime) -> Result<(), OrderError> {
        let ca = self.acme.ca.as_ref().map(|path| path.to_string_lossy().into_owned());
        let client = Client::new(ca, &self.means.names, &self.means.connectors);
        // Where nothing can be kept, nobody is asked: what was issued would be asked for again and again.
        self.files.keep_orders(attempts.orders())?;
        let account = order::account(&self.acme, &self.files, &client).await?;
        // From here on the authority counts.
        attempts.order(now);
        self.files.keep_orders(attempts.orders())?;
        let issued = order::order(&account, &self.acme, &self.shown_by, &self.means.tokens).await?;
        let Issued { chain_pem, key_pem } = issued;
        let pem = [key_pem, chain_pem].concat();
        // Whatever goes wrong with the file: who has a new certificate shows it.
        let shown = self.show(pem.as_bytes());
        self.files.keep_certificate(pem.as_bytes())?;
        shown
    }

    /// Shows what is kept. `false` when there is nothing.
    fn show_kept(&mut self) -> Result<bool, OrderError> {
        match self.files.certificate()? {
            Some(pem) => self.show(&pem).map(|()| true),
            None => Ok(false),
        }
    }

    /// Shows a certificate, whose key is in the same PEM, and plans its renewal.
    fn show(&mut self, pem: &[u8]) -> Result<(), OrderError> {
        let lifetime = Lifetime::of(pem).ok_or(OrderError::Malformed)?;
        for tls in &self.shown_by {
            tls.managed().set_certificate(&self.acme.domains, pem, pem)?;
        }
        self.due = schedule::renewal(&lifetime, entropy());
        Ok(())
    }

    /// Shows a certificate of our own, where there is none from a file either.
    fn show_own(&self) {
        let domains = &self.acme.domains;
        let has_none = |tls: &&Arc<ServerTls>| tls.spec().certificates.is_empty();
        let shown = SelfSigned::for_names(domains).map_err(OrderError::from).and_then(|own| {
            let (chain, key) = (own.chain_pem.as_bytes(), own.key_pem.as_bytes());
            self.shown_by.iter().filter(has_none).try_for_each(|tls| {
                tls.managed().set_certificate(domains, chain, key).map_err(OrderError::from)
            })
        });
        match shown {
            Ok(()) => {
                tracing::warn!(?domains, "there is no certificate yet, clients are shown a self-signed one");
            }
            Err(error) => {
                tracing::error!(?domains, error = &error as &dyn Error, "there is no certificate to show");
            }
        }
    }
}

/// Bits that spread renewals and pauses. Where the system has none, they are not spread.
fn entropy() -> u64 {
    getrandom::u64().unwrap_or_default()
}
