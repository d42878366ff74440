//! What ends at the proxy, and what it adds.

use proptest::prelude::*;

use super::*;

fn fields(pairs: &[(&str, &str)]) -> Fields {
    pairs.iter().copied().collect()
}

/// What an app gets of `pairs`, without the `Via` of this hop.
fn forwarded(pairs: &[(&str, &str)]) -> Fields {
    let mut fields = fields(pairs);
    let keeps_upgrade = wants_upgrade(Version::HTTP_11, &fields, false);
    prepare_request(&mut fields, Version::HTTP_11, keeps_upgrade);
    assert_eq!(fields.first(Name::Via), Some(&b"1.1 cutover"[..]));
    fields.remove(Name::Via);
    fields
}

#[test]
fn what_connection_names_ends_here_whatever_its_case_and_line() {
    let given = [
        ("connection", "keep-alive, X-One,"),
        ("x-one", "1"),
        ("x-one", "1"),
        ("x-two", "2"),
        ("x-three", "3"),
        ("cookie", "a=b"),
        ("connection", "no name, \u{e9}, x-two, COOKIE"),
    ];
    assert_eq!(forwarded(&given), fields(&[("x-three", "3")]));
}

#[test]
fn connection_can_not_take_out_what_gives_a_message_its_meaning() {
    let kept = [
        ("host", "a"),
        ("content-length", "5"),
        ("cache-control", "no-cache"),
        ("x-request-id", "1"),
        ("x-forwarded-for", "1.1.1.1"),
        ("forwarded", "for=1.1.1.1"),
    ];
    let names = "Host, content-length, CACHE-control, x-request-id, x-forwarded-for, forwarded, x-two";
    let connection = [("connection", names), ("x-two", "2")];
    let given: Vec<_> = kept.into_iter().chain(connection).collect();
    assert_eq!(forwarded(&given), fields(&kept));
}

#[test]
fn fields_between_two_hops_and_those_that_only_the_proxy_sends_end_here() {
    let given = [
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "close"),
        ("transfer-encoding", "chunked"),
        ("te", "gzip"),
        ("upgrade", "websocket"),
        ("http2-settings", "x"),
        ("proxy-authorization", "x"),
        ("proxy", "http://evil"),
        ("cutover-pin", "end"),
        ("Cutover-State", "role=draining; epoch=1; admin=drain"),
        ("cutover-update", "v2"),
        ("trailer", "x-checksum"),
    ];
    assert_eq!(forwarded(&given), fields(&[("trailer", "x-checksum")]));
}

#[test]
fn trailers_are_the_only_coding_that_is_asked_for() {
    let given = [("te", "gzip, Trailers"), ("connection", "te, close")];
    assert_eq!(forwarded(&given), fields(&[("te", "trailers"), ("connection", "te")]));
}

#[test]
fn an_upgrade_that_may_pass_is_asked_for_again() {
    let websocket = [("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")];
    assert_eq!(forwarded(&websocket), fields(&[("upgrade", "websocket"), ("connection", "upgrade")]));
}

#[test]
fn upgrades_that_would_hide_requests_or_make_no_sense_are_ignored() {
    let wants = |version, protocol, is_bodied| {
        let given = fields(&[("connection", "upgrade"), ("upgrade", protocol)]);
        wants_upgrade(version, &given, is_bodied)
    };
    assert!(wants(Version::HTTP_11, "SPDY/3.1", false));
    for protocol in ["h2c", "H2C", "h2", "HTTP/2.0", "TLS/1.0", "websocket, h2c", ""] {
        assert!(!wants(Version::HTTP_11, protocol, false), "{protocol}");
    }
    assert!(!wants(Version::HTTP_10, "websocket", false));
    assert!(!wants(Version::HTTP_11, "websocket", true));
    assert!(!wants_upgrade(Version::HTTP_11, &fields(&[("upgrade", "websocket")]), false));
}

fn answered(status: u16, expose_version: bool, pairs: &[(&str, &str)]) -> Fields {
    let mut fields = fields(pairs);
    let identity = IdentityPolicy { expose_version, ..IdentityPolicy::default() };
    prepare_answer(StatusCode::from_u16(status).unwrap(), Version::HTTP_11, &mut fields, &(&identity).into());
    assert_eq!(fields.values(Name::Via).last(), Some(&b"1.1 cutover"[..]));
    fields.remove(Name::Via);
    fields
}

#[test]
fn the_client_sees_neither_the_hop_nor_who_answered() {
    let given = [
        ("connection", "close, x-hop"),
        ("x-hop", "1"),
        ("keep-alive", "timeout=5"),
        ("upgrade", "h2c"),
        ("x-app-version", "v1"),
        ("x-app-boot-id", "7"),
        ("x-other", "1"),
    ];
    assert_eq!(answered(200, false, &given), fields(&[("x-other", "1")]));
    let exposed = fields(&[("x-app-version", "v1"), ("x-app-boot-id", "7"), ("x-other", "1")]);
    assert_eq!(answered(200, true, &given), exposed);
}

#[test]
fn a_101_and_a_426_keep_their_upgrade() {
    let given = [("connection", "Upgrade"), ("upgrade", "websocket")];
    for status in [101, 426] {
        assert_eq!(
            answered(status, false, &given),
            fields(&[("upgrade", "websocket"), ("connection", "upgrade")])
        );
    }
}

#[test]
fn via_is_added_after_the_hops_before() {
    let mut fields = fields(&[("via", "1.0 a, 1.1 b")]);
    prepare_request(&mut fields, Version::HTTP_10, false);
    let hops: Vec<_> = fields.values(Name::Via).collect();
    assert_eq!(hops, [&b"1.0 a, 1.1 b"[..], b"1.0 cutover"]);
}

#[test]
fn a_request_that_comes_by_again_and_again_is_looping() {
    let mut fields = Fields::default();
    for _ in 0..PASSES_MAX {
        assert!(!is_looping(&fields));
        prepare_request(&mut fields, Version::HTTP_11, false);
    }
    assert!(is_looping(&fields));
}

#[test]
fn max_forwards_is_counted_down_where_it_means_something() {
    let count = |method: Method, given: &str| {
        let mut fields = fields(&[("max-forwards", given)]);
        let what = count_down(&method, &mut fields);
        (what, String::from_utf8(fields.first(Name::MaxForwards).unwrap().to_vec()).unwrap())
    };
    assert_eq!(count(Method::OPTIONS, "3"), (MaxForwards::Forward, "2".into()));
    assert_eq!(count(Method::TRACE, "0"), (MaxForwards::AnswerHere, "0".into()));
    assert_eq!(count(Method::GET, "0"), (MaxForwards::Forward, "0".into()));
    assert_eq!(count(Method::OPTIONS, "-1"), (MaxForwards::Forward, "-1".into()));
    assert_eq!(count_down(&Method::OPTIONS, &mut Fields::default()), MaxForwards::Forward);
}

#[test]
fn trailers_can_not_frame_route_authenticate_or_change_a_message() {
    let mut trailers = fields(&[
        ("x-checksum", "1"),
        ("grpc-status", "0"),
        ("content-length", "1"),
        ("transfer-encoding", "chunked"),
        ("host", "a"),
        ("authorization", "x"),
        ("cookie", "a=b"),
        ("set-cookie", "a=b"),
        ("Trailer", "x"),
        ("connection", "x-hop"),
        ("x-hop", "1"),
        ("cutover-pin", "end"),
        ("cutover-state", "role=draining; epoch=1; admin=drain"),
        ("x-forwarded-for", "1.1.1.1"),
        ("X_Forwarded_For", "1.1.1.1"),
        ("Content-Encoding", "gzip"),
        ("If-Match", "x"),
    ]);
    prepare_trailers(&mut trailers);
    assert_eq!(trailers, fields(&[("x-checksum", "1"), ("grpc-status", "0")]));
}

proptest! {
    #[test]
    fn whatever_connection_says_the_host_stays_and_it_goes(connection: Vec<u8>) {
        let mut fields = fields(&[("host", "a"), ("content-length", "1")]);
        fields.append_other("connection", &connection);
        prepare_request(&mut fields, Version::HTTP_11, false);
        prop_assert_eq!(fields.len(), 3, "host, content-length, via");
    }
}
