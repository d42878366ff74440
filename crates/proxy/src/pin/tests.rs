//! Pins in requests and answers, against a service with two versions.

use cutover_core::policy::{Affinity, Policy};
use cutover_core::time::Millis;
use proptest::prelude::*;

use super::*;
use crate::worker::fleet::{Fleet, NOW, name};

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

fn fields(pairs: &[(Name, &str)]) -> Fields {
    pairs.iter().map(|(name, value)| (name.as_str(), value)).collect()
}

fn read_from(fleet: &Fleet, cookie: &str, is_secure: bool) -> Result<Pin, NoPin> {
    let fields = fields(&[(Name::Cookie, cookie)]);
    read(&fields, &fleet.set().policy.pin, is_secure, &name(), &fleet.keyring, NOW).pin
}

/// The fields of an answer with `status` and `given` to a request with `pin`, and what became of the pin.
fn answered(
    fleet: &Fleet,
    pin: Result<Pin, NoPin>,
    is_secure: bool,
    status: u16,
    given: &[(Name, &str)],
) -> (PinOutcome, Fields) {
    let mut fields = fields(given);
    let choice = fleet.choice(pin);
    let answering = Answering { service: fleet.set(), choice: &choice, keyring: &fleet.keyring, is_secure };
    (answering.write(StatusCode::from_u16(status).unwrap(), &mut fields), fields)
}

fn all(fields: &Fields, name: Name) -> Vec<&str> {
    fields.values(name).map(|value| std::str::from_utf8(value).unwrap()).collect()
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

/// Takes out what is read as not for the app, over whichever connection it comes.
fn strip(fields: &mut Fields, policy: &PinPolicy) {
    let [insecure, secure] = [false, true].map(|is_secure| {
        let mut fields = fields.clone();
        let going = read(&fields, policy, is_secure, &name(), &Keyring::default(), NOW).going;
        super::strip(&mut fields, policy, &going);
        fields
    });
    assert_eq!(insecure, secure);
    *fields = secure;
}

#[test]
fn the_app_sees_every_cookie_but_the_pin() {
    let policy = PinPolicy::default();
    let mut request = fields(&[(Name::Cookie, "a=1; cutover=x; __Host-cutover=y; b=\"2\"")]);
    strip(&mut request, &policy);
    assert_eq!(all(&request, Name::Cookie), ["a=1; b=\"2\""]);
    let mut request = fields(&[(Name::Cookie, "cutover=x")]);
    strip(&mut request, &policy);
    assert!(request.is_empty());
    let mut request = fields(&[(Name::Cookie, "cutover=x")]);
    strip(&mut request, &PinPolicy { forward: true, ..policy });
    assert_eq!(all(&request, Name::Cookie), ["cutover=x"]);
}

#[test]
fn a_new_session_gets_a_cookie_that_reads_back_and_its_expiry_is_noted() {
    let fleet = fleet();
    let (outcome, fields) = answered(&fleet, Err(NoPin::Absent), false, 200, &[]);
    assert_eq!(outcome, PinOutcome::New);
    let [line] = all(&fields, Name::SetCookie)[..] else { panic!("{fields:?}") };
    let (pair, attributes) = line.split_once(';').unwrap();
    assert_eq!(attributes, " Path=/; HttpOnly; SameSite=Lax");
    let pin = read_from(&fleet, pair, false).unwrap();
    let noted = fleet.set().active_version().unwrap().traffic.latest_pin_expiry();
    assert_eq!(noted, pin.expires_at(&fleet.set().policy.pin));
    assert_eq!(all(&fields, Name::CacheControl), ["private"]);
}

#[test]
fn a_valid_pin_is_not_sent_again() {
    let fleet = fleet();
    let (pin, _) = handed_out(&fleet);
    let (outcome, fields) = answered(&fleet, Ok(pin), false, 200, &[]);
    assert_eq!(outcome, PinOutcome::Kept);
    assert!(fields.is_empty(), "{fields:?}");
}

#[test]
fn the_cookie_has_the_attributes_of_its_policy() {
    let line = |policy: &PinPolicy, is_secure, max_age| {
        let mut fields = Fields::default();
        append_cookie(&mut fields, policy, is_secure, b"V", max_age);
        all(&fields, Name::SetCookie)[0].to_owned()
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
    let (_, fields) = answered(&fleet, Err(NoPin::Absent), true, 200, &[]);
    let line = all(&fields, Name::SetCookie)[0];
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
        let given = [(Name::CacheControl, cache_control)];
        for wish in [None, Some((Name::CutoverPin, "end"))] {
            let given: Vec<_> = given.into_iter().chain(wish).collect();
            let (outcome, fields) = answered(&fleet, Err(NoPin::Absent), false, status, &given);
            assert_eq!(outcome, PinOutcome::Withheld, "{cache_control}");
            assert_eq!(fields.len(), 1, "{fields:?}");
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
        let (outcome, fields) =
            answered(&fleet, Err(NoPin::Absent), false, 200, &[(Name::CacheControl, given)]);
        assert_eq!(outcome, PinOutcome::New, "{given}");
        assert_eq!(all(&fields, Name::CacheControl), expected);
    }
}

#[test]
fn what_a_delivery_network_may_store_has_no_pin() {
    let fleet = fleet();
    let cases = [
        (Name::CdnCacheControl, "max-age=60", PinOutcome::Withheld),
        (Name::SurrogateControl, "max-age=60", PinOutcome::Withheld),
        (Name::CdnCacheControl, "no-store", PinOutcome::New),
    ];
    for (name, value, expected) in cases {
        let given = [(name, value), (Name::CacheControl, "private")];
        let (outcome, fields) = answered(&fleet, Err(NoPin::Absent), false, 200, &given);
        assert_eq!(outcome, expected, "{name:?}: {value}");
        assert_eq!(fields.contains(Name::SetCookie), expected == PinOutcome::New);
    }
}

#[test]
fn the_app_ends_or_declines_the_pin_and_the_client_does_not_see_how() {
    let fleet = fleet();
    let (pin, _) = handed_out(&fleet);
    let own = (Name::SetCookie, "sid=1; Path=/");
    let (outcome, fields) = answered(&fleet, Ok(pin), true, 200, &[own, (Name::CutoverPin, "end")]);
    assert_eq!(outcome, PinOutcome::EndedByApp);
    let expired = "__Host-cutover=; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=0";
    assert_eq!(all(&fields, Name::SetCookie), ["sid=1; Path=/", expired]);
    assert!(!fields.contains(Name::CutoverPin));

    let wish = [own, (Name::CutoverPin, " None ")];
    let (outcome, fields) = answered(&fleet, Err(NoPin::Absent), false, 200, &wish);
    assert_eq!(outcome, PinOutcome::DeclinedByApp);
    assert_eq!(all(&fields, Name::SetCookie), ["sid=1; Path=/"]);
    assert!(!fields.contains(Name::CutoverPin) && !fields.contains(Name::CacheControl));
}

#[test]
fn a_client_on_an_outdated_version_is_told_which_one_is_active() {
    let mut fleet = fleet();
    let (pin, _) = handed_out(&fleet);
    fleet.flip("v2");
    let forged = (Name::CutoverUpdate, "v9");
    let (outcome, fields) = answered(&fleet, Ok(pin), false, 200, &[forged]);
    assert_eq!((outcome, all(&fields, Name::CutoverUpdate)), (PinOutcome::Kept, vec!["v2"]));
    let (_, fields) = answered(&fleet, Ok(pin), false, 200, &[(Name::CacheControl, "public")]);
    assert!(!fields.contains(Name::CutoverUpdate), "a cache would tell everybody");
    let (_, fields) = answered(&fleet, Err(NoPin::Absent), false, 200, &[forged]);
    assert!(!fields.contains(Name::CutoverUpdate), "a new session is on the active version");
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
fn a_pin_to_a_backend_is_noted_for_that_backend_alone() {
    let mut fleet = Fleet::new(Policy { affinity: Affinity::Backend, ..Policy::default() });
    fleet.add_backend("c", "v1");
    let (_, fields) = answered(&fleet, Err(NoPin::Absent), false, 200, &[]);
    let pair = all(&fields, Name::SetCookie)[0].split(';').next().unwrap();
    let pin = read_from(&fleet, pair, false).unwrap();
    let members = &fleet.set().active_version().unwrap().members;
    let noted: Vec<_> = members.iter().map(|member| member.traffic.latest_pin_expiry()).collect();
    let expected =
        |hash| if Some(hash) == pin.backend { pin.expires_at(&fleet.set().policy.pin) } else { Timestamp(0) };
    assert_eq!(noted, members.iter().map(|member| expected(member.hash)).collect::<Vec<_>>());
    assert!(noted.len() == 2 && noted.contains(&Timestamp(0)));
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
    let (outcome, fields) = answered(&fleet, Err(NoPin::Absent), false, 200, &[(Name::CutoverPin, "end")]);
    assert_eq!(outcome, PinOutcome::None);
    assert!(fields.is_empty(), "{fields:?}");
    let mut request = fields_of_a_cookie("cutover=the app's own");
    strip(&mut request, &fleet.set().policy.pin);
    assert_eq!(request.len(), 1);
}

#[test]
fn a_preview_is_found_beside_the_pin_and_neither_reaches_the_app() {
    let fleet = fleet();
    let (pin, text) = handed_out(&fleet);
    for (line, is_secure) in [
        (format!("cutover={text}; cutover-preview=p; a=b"), false),
        (format!("cutover-preview=p; a=b; cutover={text}"), false),
        (format!("__Host-cutover-preview=p; a=b; cutover-preview=q; __Host-cutover={text}"), true),
    ] {
        let mut fields = fields_of_a_cookie(&line);
        let read = read(&fields, &fleet.set().policy.pin, is_secure, &name(), &fleet.keyring, NOW);
        assert_eq!((read.pin, read.preview), (Ok(pin), Some(&b"p"[..])), "{line}");
        strip(&mut fields, &fleet.set().policy.pin);
        assert_eq!(all(&fields, Name::Cookie), ["a=b"]);
    }
}

#[test]
fn a_preview_is_kept_from_apps_that_get_pins_or_have_none() {
    let forwarding = PinPolicy { forward: true, ..PinPolicy::default() };
    for policy in [forwarding, PinPolicy { mode: PinMode::None, ..PinPolicy::default() }] {
        let mut fields = fields_of_a_cookie("cutover=x; __Host-cutover-preview=p; cutover-preview=q");
        strip(&mut fields, &policy);
        assert_eq!(all(&fields, Name::Cookie), ["cutover=x"]);
    }
}

fn fields_of_a_cookie(value: &str) -> Fields {
    fields(&[(Name::Cookie, value)])
}

#[test]
fn outcomes_are_numbered_in_order_and_named_as_in_the_core() {
    for (at, outcome) in PinOutcome::ALL.into_iter().enumerate() {
        assert_eq!(outcome as usize, at);
    }
    let words = PinOutcome::ALL.map(PinOutcome::as_str);
    assert_eq!(words[..PinAction::OUTCOMES.len()], PinAction::OUTCOMES);
    let (pin, _) = handed_out(&fleet());
    let whys = [Why::Refreshed, Why::Rebalanced, Why::Ended, Why::NoBackend, Why::Navigated];
    let news = [NoPin::Absent, NoPin::Malformed, NoPin::UnknownKey, NoPin::BadMac, NoPin::Expired];
    let handed = whys.into_iter().chain(news.map(Why::New)).map(|why| PinAction::Hand(pin, why));
    for action in handed.chain([PinAction::None, PinAction::Preview, PinAction::Keep(pin)]) {
        assert_eq!(PinOutcome::from(&action).as_str(), action.as_str());
    }
}

proptest! {
    #[test]
    fn no_cookie_can_panic_or_forge_a_pin(line in prop::collection::vec(0x20_u8..=0xff, 0..120)) {
        let line = [b"cutover=", line.as_slice()].concat();
        let fields = Fields::from_iter([("cookie", line)]);
        let keyring = Keyring::default();
        prop_assert!(read(&fields, &PinPolicy::default(), false, &name(), &keyring, NOW).pin.is_err());
    }
}
