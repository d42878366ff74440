//! Facts from request heads.

use cutover_core::policy::Policy;
use proptest::prelude::*;

use super::*;
use crate::worker::fleet::{Fleet, NOW};

fn fields(pairs: &[(&str, &[u8])]) -> Fields {
    pairs.iter().copied().collect()
}

fn host_for(version: Version, target: Option<&str>, hosts: &[&[u8]]) -> Result<(String, String), HostError> {
    let fields: Fields = hosts.iter().map(|host| ("host", host)).collect();
    let authority = authority(version, target, &fields);
    authority.map(|authority| (authority.text.to_owned(), authority.host.to_owned()))
}

#[test]
fn the_host_comes_without_its_port() {
    let cases = [
        ("example.com", "example.com"),
        ("Example.COM:8080", "Example.COM"),
        ("example.com:", "example.com"),
        ("127.0.0.1:80", "127.0.0.1"),
        ("[2001:db8::1]:443", "[2001:db8::1]"),
        ("[::1]", "[::1]"),
        ("a_b-c.example", "a_b-c.example"),
        ("", ""),
    ];
    for (text, host) in cases {
        let found = host_for(Version::HTTP_11, None, &[text.as_bytes()]);
        assert_eq!(found, Ok((text.to_owned(), host.to_owned())));
    }
}

#[test]
fn an_absolute_target_wins_over_host() {
    let found = host_for(Version::HTTP_11, Some("a.example:81"), &[b"b.example"]);
    assert_eq!(found, Ok(("a.example:81".into(), "a.example".into())));
    assert_eq!(host_for(Version::HTTP_2, Some("a.example"), &[]).unwrap().1, "a.example");
}

#[test]
fn a_request_without_one_clear_host_is_refused() {
    assert_eq!(host_for(Version::HTTP_11, None, &[]), Err(HostError::Missing));
    assert_eq!(host_for(Version::HTTP_11, Some("a.example"), &[]), Err(HostError::Missing));
    assert_eq!(host_for(Version::HTTP_2, None, &[]), Err(HostError::Missing));
    assert_eq!(host_for(Version::HTTP_10, None, &[]), Ok((String::new(), String::new())));
    assert_eq!(host_for(Version::HTTP_11, None, &[b"a", b"a"]), Err(HostError::Several));
    let wrong: [&[u8]; 15] = [
        b"a b", b"a/b", b"u@h", b"h:80x", b"h:-1", b":80", b"[::1", b"[::1]x", b"[x]", b"::1", b"a,b",
        b"\xe9", b"a?b", b"a\"b", b"a%62",
    ];
    for host in wrong {
        assert_eq!(host_for(Version::HTTP_11, None, &[host]), Err(HostError::Invalid), "{host:?}");
    }
    assert_eq!(host_for(Version::HTTP_11, Some("user@h"), &[b"h"]), Err(HostError::Invalid));
}

fn explicit(query: &str, pairs: &[(&str, &[u8])]) -> Option<String> {
    let policy = PinPolicy {
        headers: vec!["x-deployment-id".into()],
        query: vec!["dpl".into(), "v".into()],
        ..PinPolicy::default()
    };
    let fields = fields(pairs);
    let head = Head {
        query: query.strip_prefix('?'),
        fields: &fields,
        client: [127, 0, 0, 1].into(),
        is_secure: false,
    };
    head.explicit_version(&policy).map(Cow::into_owned)
}

#[test]
fn a_version_is_named_by_our_header_then_configured_ones_then_the_query() {
    let (own, configured) = (("x-cutover-version", &b"v1"[..]), ("x-deployment-id", &b"v2"[..]));
    assert_eq!(explicit("?dpl=v3", &[own, configured]).as_deref(), Some("v1"));
    assert_eq!(explicit("?dpl=v3", &[configured]).as_deref(), Some("v2"));
    assert_eq!(explicit("?v=v4&dpl=v3", &[]).as_deref(), Some("v3"));
    assert_eq!(explicit("?xdpl=1&dpl&v=v4", &[]).as_deref(), Some("v4"));
    assert_eq!(explicit("?other=1", &[]), None);
    assert_eq!(explicit("", &[("x-cutover-version", b" ")]), None);
    assert_eq!(explicit("?dpl=&dpl=v5", &[("x-cutover-version", b"")]).as_deref(), Some("v5"));
}

#[test]
fn a_query_value_is_percent_decoded() {
    assert_eq!(explicit("?dpl=v1%2Bb%2f", &[]).as_deref(), Some("v1+b/"));
    assert_eq!(explicit("?dpl=a+b", &[]).as_deref(), Some("a+b"));
    assert_eq!(explicit("?dpl=100%&v=x", &[]).as_deref(), Some("100%"));
    assert_eq!(explicit("?dpl=%zz%4", &[]).as_deref(), Some("%zz%4"));
    assert_eq!(explicit("?dpl=%ff", &[]).as_deref(), Some("\u{fffd}"));
    assert_eq!(explicit("", &[("x-cutover-version", b"v\xff")]).as_deref(), Some("v\u{fffd}"));
}

fn hash_key(on: HashOn, client: &str) -> Option<u64> {
    let fields = fields(&[("x-user", b"u1"), ("cookie", b"a=b; sid=s1")]);
    let head = Head { query: None, fields: &fields, client: client.parse().unwrap(), is_secure: false };
    head.hash_key(&Balance::Hash(on))
}

#[test]
fn the_hash_key_is_what_the_balancer_hashes_on() {
    assert_eq!(hash_key(HashOn::Pin, "::1"), None);
    assert_eq!(hash_key(HashOn::ClientIp, "10.0.0.1"), Some(mix::hash(&[10, 0, 0, 1])));
    assert_ne!(hash_key(HashOn::ClientIp, "::1"), hash_key(HashOn::ClientIp, "::2"));
    assert_eq!(hash_key(HashOn::Header("x-user".into()), "::1"), Some(mix::hash(b"u1")));
    assert_eq!(hash_key(HashOn::Header("x-other".into()), "::1"), None);
    assert_eq!(hash_key(HashOn::Cookie("sid".into()), "::1"), Some(mix::hash(b"s1")));
    assert_eq!(hash_key(HashOn::Cookie("SID".into()), "::1"), None);
}

#[test]
fn facts_carry_what_the_request_says() {
    let fleet = Fleet::new(Policy { balance: Balance::Hash(HashOn::ClientIp), ..Policy::default() });
    let fields = fields(&[("x-cutover-version", b"v2"), ("cookie", b"cutover=x")]);
    let head = Head { query: None, fields: &fields, client: [10, 0, 0, 1].into(), is_secure: false };
    let given = head.read(fleet.set(), &fleet.keyring, NOW);
    let facts = given.facts(3, true, NOW);
    assert_eq!((facts.service, facts.explicit, facts.may_wait), (3, Some("v2"), true));
    assert_eq!((facts.pin, facts.hash_key), (Err(NoPin::Malformed), Some(mix::hash(&[10, 0, 0, 1]))));
}

proptest! {
    #[test]
    fn no_host_and_no_query_can_panic(host: Vec<u8>, query in "[ -~]{0,40}") {
        let fields = fields(&[("host", &host), ("cookie", &host)]);
        if let Ok(found) = authority(Version::HTTP_11, None, &fields) {
            prop_assert!(found.text.starts_with(found.host));
        }
        let _ = decoded(&query);
    }

    #[test]
    fn decoding_undoes_encoding(text: String) {
        let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        prop_assert_eq!(decoded(&encoded), text);
    }
}
