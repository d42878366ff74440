//! A session: a visitor with a cookie who asks, waits a little, and asks again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;

use super::cutover::NAME;
use super::deck::Dice;
use super::run::Run;
use super::trace::{Failure, Kind, Pin, Seen, Visit, Visitor};
use super::wire::{Ask, Client, Got, Protocol};

/// For one request. A hanging one is a failed one.
const PATIENCE: Duration = Duration::from_secs(90);
/// How long a session lasts, in milliseconds: far shorter than a pin lives, so that none ends by its age.
const VISIT_MS: (u64, u64) = (1_000, 9_000);
/// Pause between two requests, in milliseconds.
const THINK_MS: (u64, u64) = (100, 600);
/// Bytes of a large answer: many segments, so that it can be cut off.
const LARGE: usize = 300_000;
/// Failures after which a visitor gives up.
const FAILURES_MAX: usize = 3;

/// What is asked for, and how its answer is known to be right.
#[derive(Clone, Copy, Debug)]
enum Wish {
    Small,
    Large,
    Slow,
    Upload,
}

struct Session<'a> {
    run: &'a Run,
    client: Client,
    protocol: Protocol,
    cookie: Option<String>,
    pin: Option<Pin>,
    visit: Visit,
}

/// One visit from its first request to its last.
pub(crate) async fn visit(
    run: &Run,
    roots: &Arc<ClientConfig>,
    protocol: Protocol,
    dice: &mut Dice,
) -> Visit {
    let client = Client::new(run, roots, protocol);
    let visit = Visit::new(Visitor::Session, protocol.name());
    let mut session = Session { run, client, protocol, cookie: None, pin: None, visit };
    let leaves = Instant::now() + Duration::from_millis(dice.between(VISIT_MS.0, VISIT_MS.1));
    while Instant::now() < leaves && !run.is_closed() && session.visit.failures.len() < FAILURES_MAX {
        let wish = match dice.between(0, 99) {
            0..70 => Wish::Small,
            70..80 => Wish::Large,
            80..88 => Wish::Slow,
            _ => Wish::Upload,
        };
        session.ask(wish, dice).await;
        tokio::time::sleep(Duration::from_millis(dice.between(THINK_MS.0, THINK_MS.1))).await;
    }
    session.visit
}

impl Session<'_> {
    async fn ask(&mut self, wish: Wish, dice: &mut Dice) {
        let size = usize::try_from(dice.between(1, 8_000)).unwrap_or(1);
        let (target, body) = match wish {
            Wish::Small => ("/set-header".to_owned(), None),
            Wish::Large => (format!("/bytes?n={LARGE}"), None),
            Wish::Slow => ("/slow?ms=400".to_owned(), None),
            Wish::Upload => ("/sink".to_owned(), Some(vec![b'u'; size])),
        };
        let is_safe = body.is_none();
        if !is_safe {
            // What can't be sent twice goes over a connection that is new, as far as a client can see to that.
            self.client.hang_up();
        }
        let ask = Ask { target, body, cookie: self.cookie.clone() };
        let sent = Instant::now();
        self.visit.requests += 1;
        let got = tokio::time::timeout(PATIENCE, self.exchange(&ask)).await;
        let answered = Instant::now();
        let fail = |what: String, kind| Failure {
            what: format!("{}: {what}", ask.target),
            kind,
            is_safe,
            sent,
            failed: answered,
        };
        let got = match got {
            Err(_) => Err(fail(format!("no answer in {PATIENCE:?}"), Kind::NoAnswer)),
            Ok(Err((why, kind))) => Err(fail(why, kind)),
            Ok(Ok(got)) if got.status != 200 => {
                let text: String = String::from_utf8_lossy(&got.body).chars().take(200).collect();
                Err(fail(format!("{} {text}", got.status), Kind::NoAnswer))
            }
            Ok(Ok(got)) if !wish.is_granted(&got, size) => {
                Err(fail("not the answer to this".to_owned(), Kind::Wrong))
            }
            Ok(Ok(got)) => Ok(got),
        };
        match got {
            Ok(got) => self.see(&got, is_safe, sent, answered),
            Err(failure) => {
                self.client.hang_up();
                self.visit.failures.push(failure);
            }
        }
    }

    /// As a browser does it: what the other side closed before it began with it is sent again, once, if it may be.
    async fn exchange(&mut self, ask: &Ask) -> Result<Got, (String, Kind)> {
        match self.client.exchange(ask).await {
            Err(broken) if broken.is_unheard && ask.body.is_none() => {
                self.client.hang_up();
                self.run.tally().sent_again += 1;
                self.client.exchange(ask).await
            }
            other => other,
        }
        .map_err(|broken| (broken.why, broken.kind))
    }

    fn see(&mut self, got: &Got, is_safe: bool, sent: Instant, answered: Instant) {
        let name = self.protocol.cookie();
        for cookie in &got.set_cookies {
            let pair = cookie.split(';').next().unwrap_or_default();
            if let Some((known, value)) = pair.split_once('=')
                && known == name
            {
                self.cookie = Some(pair.to_owned());
                self.pin = Pin::read(value);
            }
        }
        let version = got.version.clone();
        self.visit.answers.push(Seen { version, pin: self.pin, is_safe, sent, answered });
    }
}

impl Wish {
    /// Whether body and header are those of the right answer, by one process.
    fn is_granted(self, got: &Got, size: usize) -> bool {
        let json = || serde_json::from_slice::<serde_json::Value>(&got.body).unwrap_or_default();
        match self {
            Self::Small => got.body == format!("version {}\n", got.version).into_bytes(),
            Self::Large => {
                got.body.len() == LARGE
                    && got.body.iter().zip((0..=250_u8).cycle()).all(|(byte, right)| *byte == right)
            }
            Self::Slow => json()["version"] == *got.version,
            Self::Upload => json()["version"] == *got.version && json()["bytes"] == size,
        }
    }
}

/// The address that a WebSocket is asked for at.
pub(crate) fn websocket(scheme: &str) -> String {
    format!("{scheme}://{NAME}/ws?greet=1")
}
