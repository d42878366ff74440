//! What is said to cutover next, and when: register, keep the lease, register again when cutover knows nothing of the backend.
//!
//! No clock and no connection in here: answers come in, pauses and news go out.

use std::time::Duration;

use super::backoff::Backoff;

/// Heartbeats within the time of a lease, so that one or two may be lost.
const BEATS: u32 = 3;
/// The longest pause after a failure, so that a cutover that is back soon knows its backends.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Where the registration stands.
#[derive(Debug)]
pub(super) struct Lease {
    ttl: Duration,
    state: State,
    backoff: Backoff,
    standing: Option<Standing>,
    trouble: Option<Failure>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    Registered,
    /// The configuration file of cutover defines the backend: it has no lease, but is told when another process runs.
    Static {
        is_told: bool,
    },
}

/// What is said to cutover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    /// `PUT` of the backend, with the process that runs.
    Register,
    /// `POST` of a heartbeat that names the process.
    Introduce,
    /// `POST` of a heartbeat. It does not name the process again: an app may answer with a boot id of its own, which then counts, and
    /// to contradict it each time would look like a restart each time.
    Heartbeat,
}

/// What cutover says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// It knows the backend.
    Known(Standing),
    /// It knows no such backend.
    Unknown,
    /// Its configuration file defines the backend.
    Defined,
    /// It says something else, or nothing.
    Failed(Failure),
}

/// What cutover believes of the backend, and wants of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) version: Option<String>,
    pub(super) role: Option<String>,
    pub(super) admin: String,
}

/// Why a call did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// Nobody answers.
    Away(String),
    /// It was refused.
    Refused(String),
}

/// What is worth a line in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum News {
    /// Where the backend stands, if that changed or comes after a failure.
    Stands(Standing),
    /// There is no registration, because the configuration file of cutover defines the backend.
    Defined,
    /// Cutover lost the backend.
    Lost,
    /// A failure that is another than the last.
    Failed(Failure),
}

impl Failure {
    /// What is wrong.
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Away(text) | Self::Refused(text) => text,
        }
    }
}

impl Lease {
    /// A lease of `ttl` that is to be taken.
    pub(super) const fn new(ttl: Duration) -> Self {
        let backoff = Backoff::up_to(PAUSE_MAX);
        Self { ttl, state: State::New, backoff, standing: None, trouble: None }
    }

    /// Time between two heartbeats.
    pub(super) fn beat(&self) -> Duration {
        self.ttl / BEATS
    }

    /// What is said next.
    pub(super) const fn next(&self) -> Call {
        match self.state {
            State::New => Call::Register,
            State::Static { is_told: false } => Call::Introduce,
            State::Registered | State::Static { is_told: true } => Call::Heartbeat,
        }
    }

    /// Whether the configuration file of cutover defines the backend.
    pub(super) fn is_static(&self) -> bool {
        matches!(self.state, State::Static { .. })
    }

    /// The app was restarted: what it runs now is said at once.
    pub(super) fn renew(&mut self) {
        self.state = match self.state {
            State::New | State::Registered => State::New,
            State::Static { .. } => State::Static { is_told: false },
        };
    }

    /// Takes an answer; answers the pause until the next call, and what is new.
    pub(super) fn hear(&mut self, answer: Answer, entropy: u64) -> (Duration, Option<News>) {
        match answer {
            Answer::Known(standing) => {
                self.state = match self.state {
                    State::New | State::Registered => State::Registered,
                    State::Static { .. } => State::Static { is_told: true },
                };
                self.backoff.reset();
                let was_trouble = self.trouble.take().is_some();
                let is_new = self.standing.as_ref() != Some(&standing);
                self.standing = Some(standing.clone());
                (self.beat(), (was_trouble || is_new).then_some(News::Stands(standing)))
            }
            // A service that is unknown has no backends: to register is refused too, and that is told.
            Answer::Unknown if self.state != State::New => {
                (self.state, self.standing) = (State::New, None);
                (Duration::ZERO, Some(News::Lost))
            }
            Answer::Unknown => self.fail(Failure::Refused("there is no such service".to_owned()), entropy),
            Answer::Defined => {
                self.state = State::Static { is_told: false };
                (Duration::ZERO, Some(News::Defined))
            }
            Answer::Failed(failure) => self.fail(failure, entropy),
        }
    }

    fn fail(&mut self, failure: Failure, entropy: u64) -> (Duration, Option<News>) {
        let is_told = match (&self.trouble, &failure) {
            (Some(Failure::Away(_)), Failure::Away(_)) => true,
            (last, failure) => last.as_ref() == Some(failure),
        };
        self.trouble = Some(failure.clone());
        (self.backoff.pause(entropy), (!is_told).then_some(News::Failed(failure)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(15);
    const BEAT: Duration = Duration::from_secs(5);

    fn active() -> Standing {
        Standing {
            version: Some("v1".to_owned()),
            role: Some("active".to_owned()),
            admin: "ready".to_owned(),
        }
    }

    fn registered() -> Lease {
        let mut lease = Lease::new(TTL);
        assert_eq!(lease.next(), Call::Register);
        let heard = lease.hear(Answer::Known(active()), 0);
        assert_eq!(heard, (BEAT, Some(News::Stands(active()))));
        lease
    }

    fn away(cause: &str) -> Answer {
        Answer::Failed(Failure::Away(cause.to_owned()))
    }

    #[test]
    fn a_registered_backend_sends_three_heartbeats_in_its_lease_and_says_nothing() {
        let mut lease = registered();
        for _ in 0..3 {
            assert_eq!(lease.next(), Call::Heartbeat);
            assert_eq!(lease.hear(Answer::Known(active()), 0), (BEAT, None));
        }
    }

    #[test]
    fn what_cutover_changes_is_told_once() {
        let mut lease = registered();
        let draining = Standing { admin: "drain".to_owned(), ..active() };

        let first = lease.hear(Answer::Known(draining.clone()), 0).1;
        assert_eq!(first, Some(News::Stands(draining.clone())));
        assert_eq!(lease.hear(Answer::Known(draining), 0).1, None);
    }

    #[test]
    fn a_backend_that_cutover_lost_registers_again_at_once() {
        let mut lease = registered();

        assert_eq!(lease.hear(Answer::Unknown, 0), (Duration::ZERO, Some(News::Lost)));
        assert_eq!(lease.next(), Call::Register);
        assert_eq!(lease.hear(Answer::Known(active()), 0).1, Some(News::Stands(active())));
    }

    #[test]
    fn an_unknown_service_is_asked_for_with_pauses_and_told_once() {
        let mut lease = Lease::new(TTL);

        let (pause, news) = lease.hear(Answer::Unknown, 0);
        assert!(pause > Duration::ZERO && matches!(news, Some(News::Failed(Failure::Refused(_)))));
        assert_eq!(lease.hear(Answer::Unknown, 0).1, None);
        assert_eq!(lease.next(), Call::Register);
    }

    #[test]
    fn an_absent_server_is_told_once_and_its_return_too() {
        let mut lease = registered();

        assert!(matches!(lease.hear(away("refused"), 0).1, Some(News::Failed(_))));
        for cause in ["refused", "no answer in time"] {
            let (pause, news) = lease.hear(away(cause), 0);
            assert!(news.is_none() && pause <= PAUSE_MAX && !pause.is_zero(), "{pause:?} {news:?}");
        }
        assert_eq!(lease.hear(Answer::Known(active()), 0), (BEAT, Some(News::Stands(active()))));
    }

    #[test]
    fn each_other_refusal_is_told() {
        let mut lease = registered();
        let refused = |why: &str| Answer::Failed(Failure::Refused(why.to_owned()));
        assert!(lease.hear(away("refused"), 0).1.is_some());
        assert!(lease.hear(refused("no token"), 0).1.is_some());
        assert!(lease.hear(refused("no token"), 0).1.is_none());
        assert!(lease.hear(refused("not for this service"), 0).1.is_some());
    }

    #[test]
    fn a_restart_registers_again_but_a_configured_backend_only_says_so() {
        let mut lease = registered();
        lease.renew();
        assert_eq!(lease.next(), Call::Register);

        assert_eq!(lease.hear(Answer::Defined, 0), (Duration::ZERO, Some(News::Defined)));
        for _ in 0..2 {
            assert_eq!((lease.is_static(), lease.next()), (true, Call::Introduce));
            lease.hear(Answer::Known(active()), 0);
            assert_eq!(lease.next(), Call::Heartbeat);
            lease.renew();
        }
    }
}
