//! Requests of clients, counted by a clock that stands still until it is told to go on.

use governor::clock::FakeRelativeClock;
use proptest::prelude::*;

use super::*;

const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

fn limiter(per_second: u32, burst: u32) -> (FakeRelativeClock, Limiter<FakeRelativeClock>) {
    let clock = FakeRelativeClock::default();
    // The first moment of all is the one of which nothing is remembered.
    clock.advance(Duration::from_secs(1));
    (clock.clone(), Limiter::new(Rate { per_second, burst }, clock))
}

fn written(standing: Standing) -> Vec<(String, String)> {
    let mut fields = Fields::default();
    standing.write(&mut fields);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    fields.iter().map(|(name, value)| (text(name), text(value))).collect()
}

fn service() -> ServiceName {
    ServiceName::parse("web").unwrap()
}

#[test]
fn a_client_has_its_burst_and_then_its_rate() {
    let (clock, limiter) = limiter(2, 3);
    for _ in 0..3 {
        assert!(!limiter.ask(CLIENT).is_exceeded());
    }
    assert!(limiter.ask(CLIENT).is_exceeded());
    assert!(!limiter.ask(OTHER).is_exceeded(), "another client has its own");
    clock.advance(Duration::from_millis(499));
    assert!(limiter.ask(CLIENT).is_exceeded());
    clock.advance(Duration::from_millis(1));
    assert!(!limiter.ask(CLIENT).is_exceeded());
    assert!(limiter.ask(CLIENT).is_exceeded());
}

#[test]
fn a_client_is_told_how_it_stands() {
    let (clock, limiter) = limiter(2, 3);
    let pairs = |pairs: &[(&str, &str)]| -> Vec<_> {
        pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    let policy = ("RateLimit-Policy", "\"client\";q=3;w=2");
    assert_eq!(written(limiter.ask(CLIENT)), pairs(&[policy, ("RateLimit", "\"client\";r=2;t=1")]));
    limiter.ask(CLIENT);
    assert_eq!(written(limiter.ask(CLIENT)), pairs(&[policy, ("RateLimit", "\"client\";r=0;t=2")]));
    let exceeded = limiter.ask(CLIENT);
    assert_eq!(exceeded.retry_after_secs(), Some(1));
    assert_eq!(written(exceeded), pairs(&[policy, ("RateLimit", "\"client\";r=0;t=1")]));
    clock.advance(Duration::from_secs(10));
    assert_eq!(written(limiter.ask(CLIENT)), pairs(&[policy, ("RateLimit", "\"client\";r=2;t=1")]));
}

#[test]
fn the_largest_numbers_are_written_whole() {
    let rate = Rate { per_second: 1, burst: u32::MAX };
    let standing = Standing { rate, remaining: u32::MAX, wait_secs: Some(u64::from(u32::MAX)) };
    let values: Vec<_> = written(standing).into_iter().map(|(_, value)| value).collect();
    assert_eq!(values, ["\"client\";q=4294967295;w=4294967295", "\"client\";r=4294967295;t=4294967295"]);
}

#[test]
fn the_time_to_wait_is_not_too_short() {
    assert_eq!([0, 1, 999, 1000, 1001].map(|ms| seconds(Duration::from_millis(ms))), [1, 1, 1, 1, 2]);
}

#[test]
fn a_limit_is_kept_while_its_rate_is_the_same_and_somebody_has_it() {
    let (limiters, rate) = (Limiters::default(), Rate { per_second: 1, burst: 1 });
    let first = limiters.of(&service(), rate);
    assert!(Arc::ptr_eq(&first, &limiters.of(&service(), rate)), "other workers have the same");
    let other = limiters.of(&service(), Rate { per_second: 2, ..rate });
    assert!(!Arc::ptr_eq(&first, &other));
    drop((first, other));
    limiters.of(&ServiceName::parse("other").unwrap(), rate);
    assert_eq!(limiters.0.lock().unwrap().len(), 1, "nothing is left of what nobody has");
}

proptest! {
    #[test]
    fn no_client_gets_more_than_its_rate(
        per_second in 1..50_u32,
        burst in 1..50_u32,
        pauses in proptest::collection::vec(0..500_u64, 1..200),
    ) {
        let (clock, limiter) = limiter(per_second, burst);
        let (mut passed, mut millis) = (0, 0);
        for pause in pauses {
            clock.advance(Duration::from_millis(pause));
            millis += pause;
            let standing = limiter.ask(CLIENT);
            passed += u64::from(!standing.is_exceeded());
            prop_assert!(standing.remaining < burst);
            prop_assert!(passed * 1000 <= u64::from(burst) * 1000 + millis * u64::from(per_second) + 1);
        }
    }
}
