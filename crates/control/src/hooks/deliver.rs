//! A call of a hook until it has ended: what is tried again, when, and when it is given up.

use std::time::Duration;

use cutover_core::hook::{Ended, Turn, flip_turn, of};
use cutover_core::id::{ServiceName, VersionLabel};
use cutover_core::policy::{Hook, HookPoint};
use cutover_core::service::Service;
use cutover_core::time::{Millis, Timestamp};
use http::StatusCode;
use tokio::time::{Instant, sleep};

use super::call::{Answer, CallError, Means, call, in_words};
use super::message::Message;
use crate::clock;

/// How often a call is made at most, and how long it is waited in between.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    pub(super) tries: u32,
    pub(super) pause: Duration,
    pub(super) pause_max: Duration,
}

impl Patience {
    /// For a flip that somebody waits for: a receiver that is being restarted is back by then.
    pub(super) const FLIP: Self =
        Self { tries: 4, pause: Duration::from_secs(1), pause_max: Duration::from_secs(4) };
    /// For what has happened: a receiver may be away for about two hours.
    pub(super) const NEWS: Self =
        Self { tries: 32, pause: Duration::from_secs(1), pause_max: Duration::from_secs(300) };

    /// The pause after this many tries: twice as long each time, and somewhere in its second half, so that not all come back at once.
    fn after(self, tries: u32, draw: f64) -> Duration {
        let doubled = self.pause.saturating_mul(2_u32.saturating_pow(tries.saturating_sub(1)));
        doubled.min(self.pause_max).mul_f64(0.5 + draw.clamp(0.0, 1.0) / 2.0)
    }
}

/// Asks the `pre_flip` hooks of a service about a flip to `to`, one after the other, until one refuses. Answers how the calls ended, and
/// why the flip must not be made, if it must not.
pub(crate) async fn ask(
    means: &Means,
    service: &Service,
    to: &VersionLabel,
    at: Timestamp,
) -> (Vec<Ended>, Result<(), String>) {
    let turn = flip_turn(service, to, at);
    let mut calls = Vec::new();
    for hook in of(service, HookPoint::PreFlip) {
        let call = deliver(means, &service.name, hook, (0, &turn), Patience::FLIP).await;
        let refusal = (!call.is_delivered).then(|| refusal(&call));
        calls.push(call);
        if let Some(refusal) = refusal {
            return (calls, Err(refusal));
        }
    }
    (calls, Ok(()))
}

fn refusal(call: &Ended) -> String {
    let Ended { turn, origin, tries, said, .. } = call;
    let version = &turn.version;
    format!(
        "the pre_flip hook at {origin} does not let version {version} become active: {said} (tries: {tries})"
    )
}

/// Calls `hook` until it takes the message, refuses it, or the patience is over.
pub(super) async fn deliver(
    means: &Means,
    service: &ServiceName,
    hook: &Hook,
    (number, turn): (u64, &Turn),
    patience: Patience,
) -> Ended {
    let message = Message::new(&means.node, service, number, turn, &hook.url);
    let begun = Instant::now();
    let mut tries = 0;
    loop {
        tries += 1;
        let outcome = call(means, hook, &message, clock::wall()).await;
        let is_delivered = outcome.as_ref().is_ok_and(|answer| answer.status.is_success());
        if is_delivered || is_final(&outcome) || tries >= patience.tries {
            let took = Millis(u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX));
            return Ended {
                number,
                turn: turn.clone(),
                origin: hook.url.origin(),
                is_delivered,
                status: outcome.as_ref().ok().map(|answer| answer.status.as_u16()),
                tries,
                took,
                said: said(&outcome),
            };
        }
        tracing::debug!(%service, on = %turn.on, to = hook.url.origin(), tries, said = said(&outcome), "a hook is tried again");
        sleep(patience.after(tries, draw())).await;
    }
}

/// Whether the same call would be answered the same again. Nobody follows redirects: they would take the message, and who it is for, to
/// somebody else.
fn is_final(outcome: &Result<Answer, CallError>) -> bool {
    let Ok(Answer { status, .. }) = outcome else { return false };
    let may_change = matches!(*status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
    status.is_redirection() || (status.is_client_error() && !may_change)
}

fn said(outcome: &Result<Answer, CallError>) -> String {
    match outcome {
        Ok(Answer { status, .. }) if status.is_redirection() => {
            format!("{}, and redirects are not followed", status.as_u16())
        }
        Ok(Answer { status, text }) if text.is_empty() => status.as_u16().to_string(),
        Ok(Answer { status, text }) => format!("{}: {text}", status.as_u16()),
        Err(error) => in_words(error),
    }
}

/// A number from 0 to 1. Without random bits from the system, those of the clock will do.
fn draw() -> f64 {
    let bits = getrandom::u32().unwrap_or_else(|_| Instant::now().elapsed().subsec_nanos());
    f64::from(bits) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_limit_and_are_spread() {
        let pauses = [1, 2, 3, 9, 10, 40].map(|tries| Patience::NEWS.after(tries, 1.0).as_secs());
        assert_eq!(pauses, [1, 2, 4, 256, 300, 300]);
        assert_eq!(Patience::NEWS.after(2, 0.0), Duration::from_secs(1));
        let whole: u64 = (1..32).map(|tries| Patience::NEWS.after(tries, 0.5).as_secs()).sum();
        assert!((5000..7200).contains(&whole), "{whole} s");
    }

    #[test]
    fn what_would_be_answered_the_same_again_is_not_tried_again() {
        let is_final = |status: u16| {
            is_final(&Ok(Answer { status: StatusCode::from_u16(status).unwrap(), text: String::new() }))
        };
        let given_up = [301, 308, 400, 401, 404, 409, 410, 422, 451].map(is_final);
        assert!(given_up.iter().all(|&given_up| given_up), "{given_up:?}");
        assert!([408, 429, 500, 502, 503, 504].iter().all(|&status| !is_final(status)));
    }
}
