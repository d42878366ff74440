//! What is believed about one name: which answers are taken over, and when it is asked about again.

use std::net::IpAddr;
use std::time::Duration;

use crate::error::LookUpError;

/// Addresses of one name that are used.
pub(crate) const ADDRESSES_MAX: usize = 16;

/// An answer is good for at least as long: a TTL of zero must not become a flood of questions.
const TTL_MIN: Duration = Duration::from_secs(1);
/// And for no longer, whatever its TTL says: people forget to lower it before they move a name.
const TTL_MAX: Duration = Duration::from_secs(300);
/// The pause after a look-up that failed. It doubles with each one in a row.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// The longest pause. The last answer is in use meanwhile.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// How often in a row, a second apart, it has to be said that all addresses of a family are gone. Some name servers say so for a
/// moment while they are loaded or records are replaced, and an answer for one family may be lost while the other comes.
const DOUBTS: u32 = 3;

/// An answer of name servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// In the order of the servers.
    pub(crate) addresses: Vec<IpAddr>,
    /// The lowest TTL of the records.
    pub(crate) ttl: Duration,
}

/// What is believed about one name.
#[derive(Debug, Default)]
pub(crate) struct Belief {
    /// Sorted, so that the same addresses in another order are no news.
    addresses: Vec<IpAddr>,
    failures: u32,
    doubts: u32,
}

/// What came of a look-up.
#[derive(Debug)]
pub(crate) enum News {
    /// What is believed stays as it is.
    None,
    /// The name has these addresses now.
    Addresses(Box<[IpAddr]>),
    /// The name has no address.
    Lost(LookUpError),
}

impl Belief {
    /// Takes an answer in. Answers what is news, and after how long the name is to be asked about again.
    pub(crate) fn hear(&mut self, found: Result<Found, LookUpError>) -> (News, Duration) {
        let (found, error) = match found {
            Ok(found) => (found, LookUpError::NoAddress),
            Err(LookUpError::NoAddress) => {
                (Found { addresses: Vec::new(), ttl: Duration::ZERO }, LookUpError::NoAddress)
            }
            Err(error) => return self.fail(error),
        };
        self.failures = 0;
        let mut addresses = found.addresses;
        addresses.sort_unstable();
        addresses.dedup();
        addresses.truncate(ADDRESSES_MAX);
        if self.lacks_a_family(&addresses) {
            self.doubts += 1;
            if self.doubts < DOUBTS {
                return (News::None, TTL_MIN);
            }
        }
        self.doubts = 0;
        let again = found.ttl.clamp(TTL_MIN, TTL_MAX);
        if addresses.is_empty() {
            self.addresses.clear();
            return (News::Lost(error), again);
        }
        if addresses == self.addresses {
            return (News::None, again);
        }
        self.addresses = addresses;
        (News::Addresses(interleaved(&self.addresses)), again)
    }

    /// Nobody could tell: what was believed is believed on.
    fn fail(&mut self, error: LookUpError) -> (News, Duration) {
        let pause = PAUSE_MIN.saturating_mul(1 << self.failures.min(5)).min(PAUSE_MAX);
        self.failures = self.failures.saturating_add(1);
        let news = if self.addresses.is_empty() { News::Lost(error) } else { News::None };
        (news, pause)
    }

    /// Whether all addresses of a family that there was are gone.
    fn lacks_a_family(&self, addresses: &[IpAddr]) -> bool {
        let has = |addresses: &[IpAddr], is: fn(&IpAddr) -> bool| addresses.iter().any(is);
        let is_gone = |is| has(&self.addresses, is) && !has(addresses, is);
        is_gone(IpAddr::is_ipv4) || is_gone(IpAddr::is_ipv6)
    }
}

/// IPv6 first, then the families in turn (RFC 8305 section 4): whoever goes through them tries the other family next.
fn interleaved(addresses: &[IpAddr]) -> Box<[IpAddr]> {
    let mut v6 = addresses.iter().filter(|address| address.is_ipv6());
    let mut v4 = addresses.iter().filter(|address| address.is_ipv4());
    let mut order = Vec::with_capacity(addresses.len());
    while order.len() < addresses.len() {
        order.extend(v6.next().into_iter().chain(v4.next()));
    }
    order.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(addresses: &[&str], ttl: u64) -> Result<Found, LookUpError> {
        let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
        Ok(Found { addresses, ttl: Duration::from_secs(ttl) })
    }

    fn failed() -> Result<Found, LookUpError> {
        Err(LookUpError::Failed(std::sync::Arc::new(std::io::Error::other("no server"))))
    }

    fn texts(news: News) -> Vec<String> {
        match news {
            News::Addresses(addresses) => addresses.iter().map(ToString::to_string).collect(),
            News::None => vec!["no news".to_owned()],
            News::Lost(error) => vec![error.to_string()],
        }
    }

    /// What a belief in `10.0.0.1` becomes.
    fn after(answers: impl IntoIterator<Item = Result<Found, LookUpError>>) -> (Vec<String>, Duration) {
        let mut belief = Belief::default();
        let mut last = belief.hear(found(&["10.0.0.1"], 60));
        for answer in answers {
            last = belief.hear(answer);
        }
        (texts(last.0), last.1)
    }

    #[test]
    fn the_ttl_is_kept_within_a_second_and_five_minutes() {
        for (ttl, again) in [(0, 1), (1, 1), (60, 60), (300, 300), (86_400, 300)] {
            assert_eq!(Belief::default().hear(found(&["10.0.0.1"], ttl)).1, Duration::from_secs(again));
        }
    }

    #[test]
    fn families_take_turns_and_v6_begins() {
        let news = Belief::default().hear(found(&["10.0.0.2", "10.0.0.1", "10.0.0.3", "::2", "::1"], 60)).0;
        assert_eq!(texts(news), ["::1", "10.0.0.1", "::2", "10.0.0.2", "10.0.0.3"]);
    }

    #[test]
    fn addresses_in_another_order_are_no_news() {
        let mut belief = Belief::default();
        belief.hear(found(&["10.0.0.1", "10.0.0.2"], 60));
        assert!(matches!(belief.hear(found(&["10.0.0.2", "10.0.0.1"], 60)).0, News::None));
        assert_eq!(texts(belief.hear(found(&["10.0.0.2"], 60)).0), ["10.0.0.2"]);
    }

    #[test]
    fn while_servers_fail_the_last_answer_is_believed_on_with_growing_pauses() {
        let seconds = |count| after((0..count).map(|_| failed())).1.as_secs();
        assert_eq!([1, 2, 3, 4, 5, 6, 100].map(seconds), [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(after((0..100).map(|_| failed())).0, ["no news"]);
        assert_eq!(texts(Belief::default().hear(failed()).0), ["the name can't be looked up"]);
    }

    #[test]
    fn that_a_name_is_gone_is_believed_when_it_was_said_three_times() {
        let gone = || Err(LookUpError::NoAddress);
        assert_eq!(after([gone(), gone()]), (vec!["no news".to_owned()], TTL_MIN));
        assert_eq!(after([gone(), gone(), gone()]).0, ["the name has no address"]);
        assert_eq!(after([gone(), gone(), found(&["10.0.0.1"], 60), gone(), gone()]).0, ["no news"]);
        assert_eq!(texts(Belief::default().hear(gone()).0), ["the name has no address"]);
    }

    #[test]
    fn an_answer_for_one_family_does_not_take_the_other_away_at_once() {
        let only_v6 = || found(&["::1"], 60);
        assert_eq!(after([only_v6()]).0, ["no news"]);
        assert_eq!(after([only_v6(), only_v6(), only_v6()]).0, ["::1"]);
    }

    #[test]
    fn a_name_with_too_many_addresses_has_some_of_them() {
        let many: Vec<String> = (0..200).map(|last| format!("10.0.0.{last}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(texts(Belief::default().hear(found(&many, 60)).0).len(), ADDRESSES_MAX);
    }
}
