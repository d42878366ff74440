//! Leave to restart the app: asked for until it is granted, whatever happens to cutover meanwhile.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::backend::{Backend, failure};
use super::backoff::{Backoff, entropy};
use crate::ctl::permit::{self, Asked};
use crate::job::told::Told;

/// How long cutover is told to wait in one call: a grant is told at once, and what is waited for is told anew after this.
const ROUND: Duration = Duration::from_secs(10);
/// The longest pause after a failure.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Time between two questions at least, for a cutover that answers without waiting.
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// Time to give a permit back: the agent is on its way out.
const GIVE_BACK_TIMEOUT: Duration = Duration::from_secs(5);

/// Waits for the permit and says what for.
pub(super) async fn wait_for(backend: &Backend) {
    let mut told = Told::default();
    let mut tell = |text: &str| {
        if told.is_news(text, Instant::now()) {
            tracing::info!("no restart yet: {text}");
        }
    };
    let mut backoff = Backoff::up_to(PAUSE_MAX);
    // The first answer comes without a wait, so that the log says what is waited for while it is.
    let mut wait = Duration::ZERO;
    loop {
        let began = Instant::now();
        match permit::ask(&backend.client, backend.service.as_str(), backend.id.as_str(), wait).await {
            Ok(Asked::Granted(..)) => return,
            Ok(Asked::NotYet(not_yet, _)) => {
                tell(&permit::in_words(&not_yet.state, &not_yet.reasons));
                backoff.reset();
                if !wait.is_zero() {
                    sleep(PAUSE_MIN.saturating_sub(began.elapsed())).await;
                }
                wait = ROUND;
            }
            // A backend that is not registered, too, is so in a moment.
            Err(error) => {
                tell(failure(&error).text());
                sleep(backoff.pause(entropy())).await;
            }
        }
    }
}

/// Gives the permit back, if there is one and cutover can be reached. Otherwise it ends at its deadline, which freezes the roll.
pub(super) async fn give_back(backend: &Backend) {
    let given_back = permit::withdraw(&backend.client, backend.service.as_str(), backend.id.as_str());
    if timeout(GIVE_BACK_TIMEOUT, given_back).await.is_err() {
        tracing::warn!("cutover does not answer in time to whom the permit is given back");
    }
}
