//! Pins in requests and answers, against a service with two versions.

use cutover_core::policy::{Affinity, Policy};
use cutover_core::time::Millis;
use http::header::COOKIE;
use proptest::prelude::*;

use super::*;
use crate::fleet::{Fleet, NOW, name};

fn fleet_with(pin: PinPolicy) -> Fleet {
    Fleet::new(Policy { pin, ..Policy::default() })
}

fn fleet() -> Fleet {
    fleet_with(PinPolicy::default())
}

/// A pin that `fleet` hands out now, and its text.
fn handed_out(fleet: &Fleet) -> (Pin, String) {
    let PinAction::Hand(pin, _) = fleet.choice(Err(NoPin::Absent)).pin else { panic!("no pin") };
    let token = fleet.keyring.seal(&pin, &name()).unwrap();
    (pin, String::from_utf8(token.as_bytes().to_vec()).unwrap())
}

fn headers(fields: &[(HeaderName, &str)]) -> HeaderMap {
    fields.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
}

fn read_from(fleet: &Fleet, cookie: &str, is_secure: bool) -> Result<Pin, NoPin> {
    let headers = headers(&[(COOKIE, cookie)]);
    read(&headers, &fleet.set().policy.pin, is_secure, &name(), &fleet.keyring, NOW)
}

/// The head of an answer with `status` and `fields` to a request with `pin`, and what became of the pin.
fn answered(
    fleet: &Fleet,
    pin: Result<Pin, NoPin>,
    is_secure: bool,
    status: u16,
    fields: &[(HeaderName, &str)],
) -> (PinOutcome, HeaderMap) {
    let mut headers = headers(fields);
    let choice = fleet.choice(pin);
    let answering = Answering { service: fleet.set(), choice: &choice, keyring: &fleet.keyring, is_secure };
    (answering.write(StatusCode::from_u16(status).unwrap(), &mut headers), headers)
}

fn all<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<&'a str> {
    headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
}

#[test]
fn the_first_valid_cookie_counts() {
    let fleet = fleet();
    let (pin, text) = handed_out(&fleet);
    assert_eq!(read_from(&fleet, &format!("a=b; cutover={text}"), false), Ok(pin));
    assert_eq!(read_from(&fleet, &format!("cutover=x; cutover=; cutover={text}"), false), Ok(pin));
    assert_eq!(read_from(&fleet, "cutover=x; a=b", false), Err(NoPin::Malformed));
    assert_eq!(read_from(&fleet, "a=b", false), Err(NoPin::Absent));
    let late = format!("{}cutover={text}", "cutover=x; ".repeat(TRIES_MAX));
    assert_eq!(read_from(&fleet, &late, false), Err(NoPin::Malformed), "tries are bounded");
}

#[test]
fn only_the_name_that_fits_the_scheme_is_read() {
    let fleet = fleet();
    let (pin, text) = handed_out(&fleet);
    assert_eq!(read_from(&fleet, &format!("__Host-cutover={text}"), true), Ok(pin));
    assert_eq!(read_from(&fleet, &format!("cutover={text}"), true), Err(NoPin::Absent));
    assert_eq!(read_from(&fleet, &format!("__Host-cutover={text}"), false), Err(NoPin::Absent));
}

#[test]
fn an_old_pin_is_expired() {
    let fleet = fleet();
    let (pin, _) = handed_out(&fleet);
    let old = pin.refreshed(NOW - fleet.set().policy.pin.idle);
    let token = fleet.keyring.seal(&old, &name()).unwrap();
    let cookie = format!("cutover={}", std::str::from_utf8(token.as_bytes()).unwrap());
    assert_eq!(read_from(&fleet, &cookie, false), Err(NoPin::Expired));
}

#[test]
fn the_app_sees_every_cookie_but_the_pin() {
    let policy = PinPolicy::default();
    let mut request = headers(&[(COOKIE, "a=1; cutover=x; __Host-cutover=y; b=\"2\"")]);
    strip(&mut request, &policy);
    assert_eq!(all(&request, &COOKIE), ["a=1; b=\"2\""]);
    let mut request = headers(&[(COOKIE, "cutover=x")]);
    strip(&mut request, &policy);
    assert!(request.is_empty());
    let mut request = headers(&[(COOKIE, "cutover=x")]);
    strip(&mut request, &PinPolicy { forward: true, ..policy });
    assert_eq!(all(&request, &COOKIE), ["cutover=x"]);
}

#[test]
fn a_new_session_gets_a_cookie_that_reads_back_and_its_expiry_is_noted() {
    let fleet = fleet();
    let (outcome, headers) = answered(&fleet, Err(NoPin::Absent), false, 200, &[]);
    assert_eq!(outcome, PinOutcome::New);
    let [line] = all(&headers, &SET_COOKIE)[..] else { panic!("{headers:?}") };
    let (pair, attributes) = line.split_once(';').unwrap();
    assert_eq!(attributes, " Path=/; HttpOnly; SameSite=Lax");
    let pin = read_from(&fleet, pair, false).unwrap();
    let noted = fleet.set().active_version().unwrap().traffic.latest_pin_expiry();
    assert_eq!(noted, pin.expires_at(&fleet.set().policy.pin));
    assert_eq!(all(&headers, &CACHE_CONTROL), ["private"]);
}

#[test]
fn a_valid_pin_is_not_sent_again() {
    let fleet = fleet();
    let (pin, _) = handed_out(&fleet);
    let (outcome, headers) = answered(&fleet, Ok(pin), false, 200, &[]);
    assert_eq!(outcome, PinOutcome::Kept);
    assert!(headers.is_empty(), "{headers:?}");
}

#[test]
fn the_cookie_has_the_attributes_of_its_policy() {
    let line = |policy: &PinPolicy, is_secure, max_age| {
        String::from_utf8(set_cookie(policy, is_secure, b"V", max_age)).unwrap()
    };
    let embedded = PinPolicy { same_site: SameSite::None, partitioned: true, ..PinPolicy::default() };
    assert_eq!(
        line(&embedded, true, Some(60)),
        "__Host-cutover=V; Path=/; HttpOnly; SameSite=None; Secure; Partitioned; Max-Age=60"
    );
    assert_eq!(line(&embedded, false, None), "cutover=V; Path=/; HttpOnly; SameSite=Lax");
    let strict = PinPolicy { same_site: SameSite::Strict, cookie: "v".into(), ..PinPolicy::default() };
    assert_eq!(line(&strict, true, None), "__Host-v=V; Path=/; HttpOnly; SameSite=Strict; Secure");
}

#[test]
fn max_life_is_the_cookies_max_age() {
    let fleet = fleet_with(PinPolicy { max_life: Millis::from_secs(600), ..PinPolicy::default() });
    let (_, headers) = answered(&fleet, Err(NoPin::Absent), true, 200, &[]);
    let line = all(&headers, &SET_COOKIE)[0];
    assert!(line.starts_with("__Host-cutover=") && line.ends_with("; Secure; Max-Age=600"), "{line}");
}

#[test]
fn nothing_that_others_may_get_from_a_cache_carries_a_pin() {
    let fleet = fleet();
    let cases = [
        (200, "public, max-age=60"),
        (200, "max-age=60, S-MaxAge=60"),
        (200, "private=\"x\", public"),
        (304, "private"),
        (304, ""),
    ];
    for (status, cache_control) in cases {
        let fields = [(CACHE_CONTROL, cache_control)];
        for wish in [None, Some((CUTOVER_PIN, "end"))] {
            let fields: Vec<_> = fields.iter().cloned().chain(wish).collect();
            let (outcome, headers) = answered(&fleet, Err(NoPin::Absent), false, status, &fields);
            assert_eq!(outcome, PinOutcome::Withheld, "{cache_control}");
            assert_eq!(headers.len(), 1, "{headers:?}");
        }
    }
}

#[test]
fn an_answer_with_a_pin_is_private() {
    let fleet = fleet();
    let cases: [(&str, &[&str]); 5] = [
        ("no-store", &["no-store"]),
        ("max-age=0, private", &["max-age=0, private"]),
        ("max-age=60", &["max-age=60", "private"]),
        ("private=\"x-name\"", &["private=\"x-name\"", "private"]),
        ("x=\"public, s-maxage=1\"", &["x=\"public, s-maxage=1\"", "private"]),
    ];
    for (given, expected) in cases {
        let (outcome, headers) = answered(&fleet, Err(NoPin::Absent), false, 200, &[(CACHE_CONTROL, given)]);
        assert_eq!(outcome, PinOutcome::New, "{given}");
        assert_eq!(all(&headers, &CACHE_CONTROL), expected);
    }
}

#[test]
fn what_a_delivery_network_may_store_has_no_pin() {
    let fleet = fleet();
    let cases = [
        ("cdn-cache-control", "max-age=60", PinOutcome::Withheld),
        ("surrogate-control", "max-age=60", PinOutcome::Withheld),
        ("cdn-cache-control", "no-store", PinOutcome::New),
    ];
    for (field, given, expected) in cases {
        let fields = [(HeaderName::from_static(field), given), (CACHE_CONTROL, "private")];
        let (outcome, headers) = answered(&fleet, Err(NoPin::Absent), false, 200, &fields);
        assert_eq!(outcome, expected, "{field}: {given}");
        assert_eq!(headers.contains_key(SET_COOKIE), expected == PinOutcome::New);
    }
}

#[test]
fn the_app_ends_or_declines_the_pin_and_the_client_does_not_see_how() {
    let fleet = fleet();
    let (pin, _) = handed_out(&fleet);
    let own = (SET_COOKIE, "sid=1; Path=/");
    let (outcome, headers) = answered(&fleet, Ok(pin), true, 200, &[own.clone(), (CUTOVER_PIN, "end")]);
    assert_eq!(outcome, PinOutcome::EndedByApp);
    let expired = "__Host-cutover=; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=0";
    assert_eq!(all(&headers, &SET_COOKIE), ["sid=1; Path=/", expired]);
    assert!(!headers.contains_key(CUTOVER_PIN));

    let wish = [own, (CUTOVER_PIN, " None ")];
    let (outcome, headers) = answered(&fleet, Err(NoPin::Absent), false, 200, &wish);
    assert_eq!(outcome, PinOutcome::DeclinedByApp);
    assert_eq!(all(&headers, &SET_COOKIE), ["sid=1; Path=/"]);
    assert!(!headers.contains_key(CUTOVER_PIN) && !headers.contains_key(CACHE_CONTROL));
}

#[test]
fn a_client_on_an_outdated_version_is_told_which_one_is_active() {
    let mut fleet = fleet();
    let (pin, _) = handed_out(&fleet);
    fleet.flip("v2");
    let forged = (CUTOVER_UPDATE, "v9");
    let (outcome, headers) = answered(&fleet, Ok(pin), false, 200, std::slice::from_ref(&forged));
    assert_eq!((outcome, all(&headers, &CUTOVER_UPDATE)), (PinOutcome::Kept, vec!["v2"]));
    let (_, headers) = answered(&fleet, Ok(pin), false, 200, &[(CACHE_CONTROL, "public")]);
    assert!(!headers.contains_key(CUTOVER_UPDATE), "a cache would tell everybody");
    let (_, headers) = answered(&fleet, Err(NoPin::Absent), false, 200, &[forged]);
    assert!(!headers.contains_key(CUTOVER_UPDATE), "a new session is on the active version");
}

#[test]
fn a_pin_follows_to_the_backend_that_answered() {
    let mut fleet = Fleet::new(Policy { affinity: Affinity::Backend, ..Policy::default() });
    fleet.add_backend("c", "v1");
    let set = fleet.set();
    let mut choice = fleet.choice(Err(NoPin::Absent));
    let other = 1 - choice.member;
    let PinAction::Hand(first, _) = choice.pin else { panic!("no pin") };
    let members = &set.versions[choice.version].members;
    assert_eq!(first.backend, Some(members[choice.member].hash));
    follow(&mut choice, set, other, NOW);
    let moved = Pin { backend: Some(members[other].hash), ..first };
    assert_eq!(choice.pin, PinAction::Hand(moved, Why::New(NoPin::Absent)));

    let mut choice = fleet.choice(Ok(first));
    assert_eq!(choice.pin, PinAction::Keep(first));
    follow(&mut choice, set, other, NOW);
    assert_eq!(choice.pin, PinAction::Hand(moved, Why::Rebalanced));
}

#[test]
fn a_pin_to_a_version_stays_whoever_answers() {
    let mut fleet = fleet();
    fleet.add_backend("c", "v1");
    let (pin, _) = handed_out(&fleet);
    let mut choice = fleet.choice(Ok(pin));
    let other = 1 - choice.member;
    follow(&mut choice, fleet.set(), other, NOW);
    assert_eq!(choice.pin, PinAction::Keep(pin));
}

#[test]
fn without_pins_nothing_is_read_or_written() {
    let fleet = fleet_with(PinPolicy { mode: PinMode::None, ..PinPolicy::default() });
    assert_eq!(read_from(&fleet, "cutover=x", false), Err(NoPin::Absent));
    let (outcome, headers) = answered(&fleet, Err(NoPin::Absent), false, 200, &[(CUTOVER_PIN, "end")]);
    assert_eq!(outcome, PinOutcome::None);
    assert!(headers.is_empty(), "{headers:?}");
    let mut request = headers_of_a_cookie("cutover=the app's own");
    strip(&mut request, &fleet.set().policy.pin);
    assert_eq!(request.len(), 1);
}

fn headers_of_a_cookie(value: &str) -> HeaderMap {
    headers(&[(COOKIE, value)])
}

#[test]
fn outcomes_are_numbered_in_order_and_named_as_in_the_core() {
    for (at, outcome) in PinOutcome::ALL.into_iter().enumerate() {
        assert_eq!(outcome as usize, at);
    }
    let words = PinOutcome::ALL.map(PinOutcome::as_str);
    assert_eq!(words[..PinAction::OUTCOMES.len()], PinAction::OUTCOMES);
    let (pin, _) = handed_out(&fleet());
    let whys = [Why::Refreshed, Why::Rebalanced, Why::Ended, Why::NoBackend];
    let news = [NoPin::Absent, NoPin::Malformed, NoPin::UnknownKey, NoPin::BadMac, NoPin::Expired];
    let handed = whys.into_iter().chain(news.map(Why::New)).map(|why| PinAction::Hand(pin, why));
    for action in handed.chain([PinAction::None, PinAction::Keep(pin)]) {
        assert_eq!(PinOutcome::from(&action).as_str(), action.as_str());
    }
}

proptest! {
    #[test]
    fn no_cookie_can_panic_or_forge_a_pin(line in prop::collection::vec(0x20_u8..=0xff, 0..120)) {
        let line = [b"cutover=", line.as_slice()].concat();
        if let Ok(value) = HeaderValue::from_bytes(&line) {
            let headers = HeaderMap::from_iter([(COOKIE, value)]);
            let keyring = Keyring::default();
            prop_assert!(read(&headers, &PinPolicy::default(), false, &name(), &keyring, NOW).is_err());
        }
    }
}
