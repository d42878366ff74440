//! What is believed about the way of a request, and what apps are told about it.

use proptest::prelude::*;

use super::*;

fn trusted() -> Vec<Network> {
    [("10.0.0.0", 8), ("fd00::", 8)]
        .map(|(address, prefix_len)| Network { address: address.parse().unwrap(), prefix_len })
        .to_vec()
}

fn peer(address: &str, is_tls: bool) -> Peer {
    Peer::new(address.parse().unwrap(), is_tls, &trusted())
}

fn fields(pairs: &[(&str, &str)]) -> Fields {
    pairs.iter().copied().collect()
}

fn client(pairs: &[(&str, &str)]) -> String {
    peer("10.0.0.9", false).origin(&fields(pairs), &trusted()).client.to_string()
}

fn is_secure(is_tls: bool, pairs: &[(&str, &str)]) -> bool {
    peer("10.0.0.9", is_tls).origin(&fields(pairs), &trusted()).is_secure
}

#[test]
fn a_stranger_is_the_client_whatever_it_claims() {
    let claims = fields(&[
        ("x-forwarded-for", "1.2.3.4"),
        ("x-forwarded-proto", "https"),
        ("forwarded", "for=1.2.3.4;proto=https"),
    ]);
    let origin = peer("203.0.113.7", false).origin(&claims, &trusted());
    assert_eq!(origin, Origin { client: [203, 0, 113, 7].into(), is_secure: false });
}

#[test]
fn the_client_is_the_last_hop_that_is_not_trusted() {
    let cases = [
        ("1.1.1.1", "1.1.1.1"),
        ("6.6.6.6, 1.1.1.1", "1.1.1.1"),
        ("6.6.6.6, 1.1.1.1, 10.0.0.1, 10.0.0.2", "1.1.1.1"),
        ("10.0.0.1, 10.0.0.2", "10.0.0.1"),
        ("1.1.1.1, unknown, 10.0.0.1", "10.0.0.1"),
        ("1.1.1.1, garbage", "10.0.0.9"),
        ("", "10.0.0.9"),
        ("1.1.1.1:4711, [fd00::1]:80", "1.1.1.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("::ffff:1.1.1.1, ::ffff:10.0.0.1", "1.1.1.1"),
    ];
    for (line, expected) in cases {
        assert_eq!(client(&[("x-forwarded-for", line)]), expected, "{line}");
    }
    assert_eq!(
        client(&[("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "1.1.1.1, 10.0.0.1")]),
        "1.1.1.1"
    );
}

#[test]
fn forwarded_counts_where_there_is_no_x_forwarded_for() {
    let line = "for=192.0.2.1;by=\"a,b\", For=\"[2001:db8::17]:4711\";proto=https, for=10.0.0.1";
    assert_eq!(client(&[("forwarded", line)]), "2001:db8::17");
    assert_eq!(client(&[("forwarded", "for=192.0.2.1, for=_hidden, for=10.0.0.1")]), "10.0.0.1");
    assert_eq!(client(&[("forwarded", "for=192.0.2.1, proto=https")]), "10.0.0.9");
    assert_eq!(client(&[("forwarded", "for=192.0.2.1"), ("x-forwarded-for", "1.1.1.1")]), "1.1.1.1");
}

#[test]
fn the_scheme_is_the_one_the_client_used() {
    assert!(is_secure(true, &[]) && !is_secure(false, &[]));
    assert!(is_secure(false, &[("x-forwarded-proto", "HTTPS")]));
    assert!(is_secure(false, &[("x-forwarded-proto", "https, http")]));
    assert!(!is_secure(true, &[("x-forwarded-proto", "http")]));
    assert!(is_secure(false, &[("forwarded", "proto=https, proto=http")]));
    assert!(!is_secure(false, &[("x-forwarded-proto", "http"), ("forwarded", "proto=https")]));
}

fn authority_of(text: &str) -> Authority<'_> {
    Authority { text, host: text.rsplit_once(':').map_or(text, |(host, _)| host) }
}

fn written(address: &str, is_tls: bool, authority: &str, pairs: &[(&str, &str)]) -> Fields {
    let mut fields = fields(pairs);
    let peer = peer(address, is_tls);
    let origin = peer.origin(&fields, &trusted());
    peer.write(&mut fields, origin, authority_of(authority));
    fields
}

#[test]
fn what_a_stranger_claims_is_replaced() {
    let claims = [
        ("x-forwarded-for", "1.2.3.4"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-port", "1"),
        ("x-real-ip", "1.2.3.4"),
        ("x_forwarded_for", "1.2.3.4"),
        ("x-forwarded_proto", "https"),
        ("x_real_ip", "1.2.3.4"),
        ("Cutover_State", "role=draining; epoch=1; admin=drain"),
        ("forwarded", "for=1.2.3.4"),
    ];
    let expected = fields(&[
        ("x-forwarded-for", "203.0.113.7"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "example.com:8080"),
        ("forwarded", "for=203.0.113.7;proto=http;host=\"example.com:8080\""),
    ]);
    assert_eq!(written("203.0.113.7", false, "example.com:8080", &claims), expected);
    assert_eq!(written("::ffff:203.0.113.7", false, "example.com:8080", &[]), expected);
}

#[test]
fn what_a_trusted_proxy_says_is_kept_and_its_own_hop_added() {
    let said = [
        ("x-forwarded-for", "1.1.1.1"),
        ("x-forwarded-for", "2.2.2.2"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "public.example"),
        ("x-forwarded-port", "443"),
        ("x_forwarded_for", "6.6.6.6"),
        ("x-real_ip", "6.6.6.6"),
        ("Cutover_Update", "v9"),
        ("forwarded", "for=1.1.1.1;by=\"a,b\""),
    ];
    let expected = fields(&[
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "public.example"),
        ("x-forwarded-port", "443"),
        ("x-forwarded-for", "1.1.1.1, 2.2.2.2, fd00::9"),
        ("forwarded", "for=1.1.1.1;by=\"a,b\", for=\"[fd00::9]\";proto=https;host=public.example"),
    ]);
    assert_eq!(written("fd00::9", false, "inner", &said), expected);
}

/// What apps get of what a trusted proxy at 10.0.0.9, without TLS, says: `X-Forwarded-For`, `-Proto`, `-Host`, and `Forwarded`.
fn told(pairs: &[(&str, &str)]) -> [String; 4] {
    let fields = written("10.0.0.9", false, "inner", pairs);
    [Name::XForwardedFor, Name::XForwardedProto, Name::XForwardedHost, Name::Forwarded].map(|name| {
        let value = fields.single(name).unwrap().unwrap();
        String::from_utf8(value.to_vec()).unwrap()
    })
}

#[test]
fn what_a_trusted_proxy_says_in_one_family_is_said_in_the_other_as_it_is_believed() {
    let forwarded = |text| ("forwarded", text);
    for (said, expected) in [
        (
            &[("x-forwarded-for", "6.6.6.6, 9.9.9.9, 10.0.0.1"), ("x-forwarded-proto", "https")][..],
            [
                "6.6.6.6, 9.9.9.9, 10.0.0.1, 10.0.0.9",
                "https",
                "inner",
                "for=9.9.9.9;proto=https;host=inner, for=10.0.0.9",
            ],
        ),
        (
            &[("x-forwarded-for", "2001:db8::1"), ("x-forwarded-host", "shop.example:8443, b")],
            [
                "2001:db8::1, 10.0.0.9",
                "http",
                "shop.example:8443, b",
                "for=\"[2001:db8::1]\";proto=http;host=\"shop.example:8443\", for=10.0.0.9",
            ],
        ),
        (
            &[("x-forwarded-proto", "https"), ("x-forwarded-host", "\"; evil")],
            ["10.0.0.9", "https", "\"; evil", "for=10.0.0.9;proto=https;host=inner"],
        ),
        (
            &[forwarded("for=9.9.9.9;proto=https;host=\"shop.example:8443\", for=10.0.0.1;proto=http")],
            [
                "9.9.9.9, 10.0.0.9",
                "https",
                "shop.example:8443",
                "for=9.9.9.9;proto=https;host=\"shop.example:8443\", for=10.0.0.1;proto=http, for=10.0.0.9",
            ],
        ),
        (
            &[forwarded("for=_hidden;proto=https")],
            ["10.0.0.9", "https", "inner", "for=_hidden;proto=https, for=10.0.0.9;host=inner"],
        ),
        (
            &[forwarded("for=9.9.9.9"), ("x-forwarded-proto", "https")],
            ["9.9.9.9, 10.0.0.9", "https", "inner", "for=9.9.9.9, for=10.0.0.9;proto=https;host=inner"],
        ),
        (&[("x-forwarded-port", "443")], ["10.0.0.9", "http", "inner", "for=10.0.0.9;proto=http;host=inner"]),
    ] {
        assert_eq!(told(said), expected, "{said:?}");
    }
}

#[test]
fn a_trusted_proxy_that_names_a_host_too_long_to_be_one_is_not_quoted() {
    let long = "a".repeat(AUTHORITY_LEN_MAX + 1);
    assert_eq!(told(&[("x-forwarded-host", &long)])[3], "for=10.0.0.9;proto=http;host=inner");
    let longest = "a".repeat(AUTHORITY_LEN_MAX);
    let expected = format!("for=10.0.0.9;proto=http;host={longest}");
    assert_eq!(told(&[("x-forwarded-host", &longest)])[3], expected);
}

#[test]
fn every_address_has_room() {
    let mut room = [0; ADDRESS_LEN_MAX];
    for text in ["1111:2222:3333:4444:5555:6666:7777:8888", "::ffff:100.200.100.200", "100.200.100.200"] {
        assert_eq!(super::written(text.parse().unwrap(), &mut room), text.as_bytes());
    }
}

#[test]
fn without_a_host_none_is_claimed() {
    let written = written("203.0.113.7", true, "", &[]);
    assert_eq!(written.first(Name::Forwarded), Some(&b"for=203.0.113.7;proto=https"[..]));
    assert!(!written.contains(Name::XForwardedHost));
}

proptest! {
    #[test]
    fn what_is_written_reads_back_as_the_same_client(v6: [u8; 16], hops: Vec<u8>) {
        let address = IpAddr::from(v6).to_canonical();
        let stranger = Peer::new(address, true, &[]);
        let mut fields = Fields::from_iter([("x-forwarded-for", &hops), ("forwarded", &hops)]);
        let origin = stranger.origin(&fields, &[]);
        stranger.write(&mut fields, origin, authority_of("h:1"));
        let next = Peer::new([10, 0, 0, 9].into(), false, &trusted());
        let expected = Origin { client: address, is_secure: true };
        prop_assert_eq!(next.origin(&fields, &trusted()), expected);
        fields.remove(Name::XForwardedFor);
        fields.remove(Name::XForwardedProto);
        prop_assert_eq!(next.origin(&fields, &trusted()), expected);
    }

    #[test]
    fn no_claim_can_panic(line: Vec<u8>) {
        for name in [Name::XForwardedFor, Name::Forwarded, Name::XForwardedProto] {
            let mut fields = Fields::from_iter([(name.as_str(), &line)]);
            let proxy = peer("10.0.0.9", false);
            let origin = proxy.origin(&fields, &trusted());
            proxy.write(&mut fields, origin, authority_of("h"));
            let last = fields.values(Name::Forwarded).last().unwrap();
            prop_assert!(last.windows(12).any(|part| part == b"for=10.0.0.9"));
        }
    }
}
