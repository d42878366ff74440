//! Wrong tokens, counted by the address that they come from: whoever presents them again and again is told to wait.
//!
//! A right token passes, however many wrong ones came from its address. Behind a NAT or a reverse proxy many callers share one; could a guesser
//! shut the others out, heartbeats would stay away and leases lapse, which is a better attack than guessing 256 random bits. So every token is compared,
//! and what is limited are the answers to wrong ones: clients with an outdated token learn when to come back, guessing becomes slow for all who
//! wait for an answer, and it is seen. It is no bound for those who ask hundreds of times at once: that one is the length of the tokens.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use cutover_core::client_key::ClientKey;
use cutover_core::time::{Millis, Timestamp};
use prometheus::{IntCounterVec, Opts, Registry};
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::peer::Peer;

/// Wrong tokens that an address may present at once.
const BURST: u64 = 10;
/// The time after which it may present one more.
const EVERY: Millis = Millis::from_secs(6);
/// Addresses that are remembered; beyond, the one that has presented the least goes.
const ADDRESSES_MAX: usize = 4096;
/// How long the answer to one token too many is held back.
const PAUSE: Duration = Duration::from_secs(1);
/// Answers that are held back at a time: a quarter of the connections that there may be. Beyond, they go out at once.
const PAUSES_MAX: usize = 256;
/// The log has a line about it at most this often, whoever guesses.
const TELL_EVERY: Millis = Millis::from_secs(60);

/// What became of wrong tokens: an ordinary refusal, or one with the advice to wait.
const OUTCOMES: [&str; 2] = ["refused", "limited"];

/// The wrong tokens that an admin API was shown lately.
#[derive(Debug)]
pub(crate) struct Guesses {
    book: Mutex<Book>,
    pause: Duration,
    pauses: Semaphore,
    count: IntCounterVec,
}

impl Guesses {
    /// Nobody has guessed yet.
    ///
    /// # Errors
    /// `registry` has a metric of this name already.
    pub(crate) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let help = "Tokens that nobody has, by what the caller was told: refused, or limited and to come back later.";
        let count = IntCounterVec::new(Opts::new("cutover_admin_wrong_tokens_total", help), &["outcome"])?;
        registry.register(Box::new(count.clone()))?;
        // From the start there is a series for each, so that the first one is an increase.
        OUTCOMES.iter().for_each(|outcome| count.with_label_values(&[outcome]).reset());
        Ok(Self { book: Mutex::default(), pause: PAUSE, pauses: Semaphore::new(PAUSES_MAX), count })
    }

    /// Notes a wrong token. Answers, after a while, in how many seconds the caller should come back, if it was one too many.
    pub(crate) async fn note(&self, peer: Option<Peer>, now: Timestamp) -> Option<u64> {
        // Whoever may open a unix socket of ours runs as our user, and has better ways than to guess.
        let excess = match peer {
            Some(Peer::Tcp { remote, .. }) => {
                // Held for a few look-ups, never across an await.
                let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
                book.note(ClientKey::of(remote.ip()), now).map(|excess| (excess, remote.ip().to_canonical()))
            }
            Some(Peer::Unix { .. }) | None => None,
        };
        self.count.with_label_values(&[OUTCOMES[usize::from(excess.is_some())]]).inc();
        let (Excess { wait, untold }, address) = excess?;
        if let Some(wrong_tokens) = untold {
            tracing::warn!(%address, wrong_tokens, "the admin API is shown wrong tokens again and again");
        }
        if let Ok(_place) = self.pauses.try_acquire() {
            sleep(self.pause).await;
        }
        Some(wait.0.div_ceil(1000))
    }
}

/// A wrong token too many.
#[derive(Debug, PartialEq, Eq)]
struct Excess {
    /// The time after which one more would not be too many.
    wait: Millis,
    /// Tokens too many since the last line in the log, whoever showed them, if it is time for another line.
    untold: Option<u64>,
}

/// Who has shown how many: a bucket for each address that loses what a wrong token fills in, over time (GCRA, ITU-T I.371).
#[derive(Debug, Default)]
struct Book {
    /// When an address will have nothing left against it.
    clear_at: HashMap<ClientKey, Timestamp>,
    told_at: Option<Timestamp>,
    untold: u64,
}

impl Book {
    fn note(&mut self, client: ClientKey, now: Timestamp) -> Option<Excess> {
        let clear_at = self.clear_at.get(&client).copied().unwrap_or(now).max(now) + EVERY;
        let against = clear_at.since(now);
        let most = Millis(BURST * EVERY.0);
        if against <= most {
            self.make_room(client, now);
            self.clear_at.insert(client, clear_at);
            return None;
        }
        self.untold += 1;
        let is_due = self.told_at.is_none_or(|told_at| now.since(told_at) >= TELL_EVERY);
        let untold = is_due.then(|| {
            self.told_at = Some(now);
            std::mem::take(&mut self.untold)
        });
        Some(Excess { wait: Millis(against.0 - most.0), untold })
    }

    /// Forgets whoever has nothing against it, and if that is nobody the one who has the least.
    fn make_room(&mut self, client: ClientKey, now: Timestamp) {
        if self.clear_at.len() < ADDRESSES_MAX || self.clear_at.contains_key(&client) {
            return;
        }
        self.clear_at.retain(|_, clear_at| *clear_at > now);
        if self.clear_at.len() < ADDRESSES_MAX {
            return;
        }
        let least = self.clear_at.iter().min_by_key(|(_, clear_at)| **clear_at).map(|(client, _)| *client);
        least.map(|least| self.clear_at.remove(&least));
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    /// A day on which somebody guesses.
    const DAY: Timestamp = Timestamp::from_secs(1_000_000);

    fn client(address: &str) -> ClientKey {
        ClientKey::of(address.parse().unwrap())
    }

    /// Seconds to wait after each of so many wrong tokens in one moment.
    fn waits(book: &mut Book, address: &str, count: u64, now: Timestamp) -> Vec<Option<u64>> {
        let mut wait = || book.note(client(address), now).map(|excess| excess.wait.as_secs());
        (0..count).map(|_| wait()).collect()
    }

    #[test]
    fn an_address_has_its_burst_and_then_one_for_each_time() {
        let mut book = Book::default();
        assert_eq!(waits(&mut book, "192.0.2.1", BURST, DAY), vec![None; 10]);
        // Those that were too many make nobody wait longer.
        assert_eq!(waits(&mut book, "192.0.2.1", 3, DAY), vec![Some(6); 3]);
        assert_eq!(waits(&mut book, "192.0.2.2", 1, DAY), [None], "another address has its own");

        let soon = DAY + Millis::from_secs(4);
        assert_eq!(waits(&mut book, "192.0.2.1", 1, soon), [Some(2)]);
        let later = DAY + EVERY;
        assert_eq!(waits(&mut book, "192.0.2.1", 2, later), [None, Some(6)]);
        let at_last = DAY + Millis(100 * EVERY.0);
        assert_eq!(waits(&mut book, "192.0.2.1", BURST + 1, at_last)[9..], [None, Some(6)]);
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let mut book = Book::default();
        for host in 0..BURST {
            assert_eq!(waits(&mut book, &format!("2001:db8:0:1::{host:x}"), 1, DAY), [None]);
        }
        assert_eq!(waits(&mut book, "2001:db8:0:1:ffff::", 1, DAY), [Some(6)]);
        assert_eq!(waits(&mut book, "2001:db8:0:2::", 1, DAY), [None]);
    }

    #[test]
    fn many_addresses_take_no_more_room_and_do_not_whitewash_the_worst() {
        let mut book = Book::default();
        waits(&mut book, "198.51.100.1", BURST, DAY);
        for host in 0..u32::try_from(ADDRESSES_MAX).unwrap() * 2 {
            book.note(ClientKey::of(host.to_be_bytes().into()), DAY);
        }
        assert_eq!(book.clear_at.len(), ADDRESSES_MAX);
        assert_eq!(waits(&mut book, "198.51.100.1", 1, DAY), [Some(6)]);

        waits(&mut book, "192.0.2.1", 1, DAY + Millis(BURST * EVERY.0));
        assert_eq!(book.clear_at.len(), 1, "who has nothing against it is forgotten");
    }

    #[test]
    fn the_log_is_told_once_in_a_while_and_of_all() {
        let mut book = Book::default();
        let mut untold =
            |address: &str, now| book.note(client(address), now).and_then(|excess| excess.untold);
        for _ in 0..BURST {
            assert_eq!((untold("192.0.2.1", DAY), untold("192.0.2.2", DAY)), (None, None));
        }
        assert_eq!((untold("192.0.2.1", DAY), untold("192.0.2.1", DAY)), (Some(1), None));
        assert_eq!(untold("192.0.2.2", DAY), None);
        let later = DAY + TELL_EVERY;
        for _ in 0..BURST {
            assert_eq!(untold("192.0.2.2", later), None);
        }
        assert_eq!((untold("192.0.2.2", later), untold("192.0.2.2", later)), (Some(3), None));
    }

    fn guesses(pause: Duration) -> Guesses {
        Guesses { pause, ..Guesses::new(&Registry::new()).unwrap() }
    }

    fn tcp() -> Option<Peer> {
        let remote = "192.0.2.1:5".parse().unwrap();
        Some(Peer::Tcp { remote, local: remote.ip() })
    }

    #[tokio::test]
    async fn the_answer_to_one_too_many_is_held_back() {
        let guesses = guesses(Duration::from_secs(3600));
        for _ in 0..BURST {
            assert_eq!(guesses.note(tcp(), DAY).now_or_never(), Some(None));
        }
        assert_eq!(guesses.note(tcp(), DAY).now_or_never(), None);

        let guesses = Guesses { pause: Duration::from_millis(1), ..guesses };
        assert_eq!(guesses.note(tcp(), DAY).await, Some(6));
        let counts = OUTCOMES.map(|outcome| guesses.count.with_label_values(&[outcome]).get());
        assert_eq!(counts, [BURST, 2]);
    }

    #[tokio::test]
    async fn no_more_answers_are_held_back_than_there_is_room_for() {
        let guesses = guesses(Duration::from_secs(3600));
        for _ in 0..BURST {
            guesses.note(tcp(), DAY).await;
        }
        let mut held_back: Vec<_> = (0..PAUSES_MAX).map(|_| Box::pin(guesses.note(tcp(), DAY))).collect();
        assert!(held_back.iter_mut().all(|answer| answer.now_or_never().is_none()));

        assert_eq!(guesses.note(tcp(), DAY).now_or_never(), Some(Some(6)));

        drop(held_back);
        assert_eq!(guesses.note(tcp(), DAY).now_or_never(), None, "there is room again");
    }

    #[tokio::test]
    async fn who_may_open_a_unix_socket_is_counted_and_not_limited() {
        let guesses = guesses(Duration::from_secs(3600));
        for _ in 0..BURST * 2 {
            assert_eq!(guesses.note(Some(Peer::Unix { uid: Some(0) }), DAY).now_or_never(), Some(None));
        }
        assert_eq!(guesses.count.with_label_values(&["refused"]).get(), BURST * 2);
    }
}
