//! Pseudo-header fields: which ones there are, where they stand, and what they make of a request.

use super::{GET, and, refused, served};
use crate::case::case;
use crate::h2::stage::{Area, H2Case, plays};

pub(crate) fn area() -> Area {
    Area::usual([order(), control_data(), authority(), targets(), connect(), extended_connect()])
}

/// RFC 9113 section 8.3: those that are defined, once, before all other fields.
fn order() -> Vec<H2Case> {
    let [method, scheme, authority, path] = GET;
    refused(
        "rfc9113_8_3",
        &[
            ("a_pseudo_header_after_a_field", vec![method, scheme, authority, ("accept", "*/*"), path]),
            ("an_unknown_one", and(&GET, &[(":foo", "bar")])),
            ("an_unknown_one_first", and(&[(":foo", "bar")], &GET)),
            ("one_of_answers", and(&GET, &[(":status", "200")])),
            ("an_empty_name_of_one", and(&GET, &[(":", "bar")])),
            ("method_twice", and(&[method], &GET)),
            ("another_method", and(&GET, &[(":method", "POST")])),
            ("scheme_twice", and(&[scheme], &GET)),
            ("path_twice", and(&[path], &GET)),
            ("another_path", and(&GET, &[(":path", "/admin")])),
            ("authority_twice", and(&[authority], &GET)),
            ("another_authority", and(&GET, &[(":authority", "b")])),
        ],
    )
}

/// RFC 9113 section 8.3.1: what every request has.
fn control_data() -> Vec<H2Case> {
    let [method, scheme, authority, path] = GET;
    refused(
        "rfc9113_8_3_1",
        &[
            ("no_method", vec![scheme, authority, path]),
            ("no_scheme", vec![method, authority, path]),
            ("no_path", vec![method, scheme, authority]),
            ("none_of_them", vec![("host", "a")]),
            ("an_empty_method", vec![(":method", ""), scheme, authority, path]),
            ("a_method_that_is_no_token", vec![(":method", "GE T"), scheme, authority, path]),
            (
                "a_method_with_a_line_in_it",
                vec![(":method", "GET / HTTP/1.1\r\nx:"), scheme, authority, path],
            ),
            ("an_empty_path", vec![method, scheme, authority, (":path", "")]),
            ("a_path_without_a_slash", vec![method, scheme, authority, (":path", "a")]),
            ("a_path_that_is_a_query", vec![method, scheme, authority, (":path", "?a")]),
            ("a_path_with_a_blank", vec![method, scheme, authority, (":path", "/a b")]),
            ("a_path_with_a_line_in_it", vec![method, scheme, authority, (":path", "/ HTTP/1.1\r\nx: y")]),
            ("a_path_that_is_a_uri", vec![method, scheme, authority, (":path", "http://b/")]),
            ("an_asterisk_for_get", vec![method, scheme, authority, (":path", "*")]),
        ],
    )
}

/// RFC 9113 section 8.3.1: whom it is for.
fn authority() -> Vec<H2Case> {
    let [method, scheme, _, path] = GET;
    let at = |value| vec![method, scheme, (":authority", value), path];
    let mut cases = refused(
        "rfc9113_8_3_1",
        &[
            ("another_host_than_the_authority", and(&GET, &[("host", "b")])),
            ("another_port_than_the_authoritys", and(&GET, &[("host", "a:81")])),
            ("two_hosts", and(&GET, &[("host", "a"), ("host", "b")])),
            ("nobody", vec![method, scheme, path]),
            ("an_empty_authority", at("")),
            ("an_authority_with_user_information", at("user@a")),
            ("an_authority_with_a_path", at("a/b")),
            ("an_authority_with_a_blank", at("a b")),
            ("an_authority_with_a_line_in_it", at("a\r\nx: y")),
            ("an_authority_with_a_port_that_is_none", at("a:b")),
        ],
    );
    let get = "GET / HTTP/1.1\nHost: a";
    cases.push(served(case("rfc9113_8_3_1_an_authority_becomes_host").forwards(get), GET.to_vec()));
    cases.push(served(
        case("rfc9113_8_3_1_host_without_an_authority").forwards(get),
        vec![method, scheme, path, ("host", "a")],
    ));
    cases
        .push(served(case("rfc9113_8_3_1_host_as_the_authority").forwards(get), and(&GET, &[("host", "a")])));
    cases.push(served(
        case("rfc9113_8_3_1_an_authority_with_a_port").forwards("GET / HTTP/1.1\nHost: a:81"),
        at("a:81"),
    ));
    cases
}

/// RFC 9113 section 8.3.1: what is asked for.
fn targets() -> Vec<H2Case> {
    let [get, scheme, authority, path] = GET;
    let mut cases: Vec<H2Case> = [
        ("a_path", "/a/b"),
        ("a_path_with_a_query", "/a?b=c&d"),
        ("an_empty_query", "/a?"),
        ("an_encoded_path", "/%2e%2F?%0a"),
        ("two_slashes", "//a"),
    ]
    .into_iter()
    .map(|(ending, target)| {
        let case =
            case(format!("rfc9113_8_3_1_{ending}")).forwards(&format!("GET {target} HTTP/1.1\nHost: a"));
        served(case, vec![get, scheme, authority, (":path", target)])
    })
    .collect();
    cases.push(served(
        // A fragment is nothing that is asked for (RFC 9110 section 7.1).
        case("rfc9113_8_3_1_a_fragment_goes_nowhere").forwards("GET /a HTTP/1.1\nHost: a"),
        vec![get, scheme, authority, (":path", "/a#b")],
    ));
    cases.push(served(
        case("rfc9113_8_3_1_options_of_a_server").forwards("OPTIONS * HTTP/1.1\nHost: a"),
        vec![(":method", "OPTIONS"), scheme, authority, (":path", "*")],
    ));
    cases.push(served(
        case("rfc9113_8_3_1_a_method_that_nobody_knows").forwards("BREW / HTTP/1.1\nHost: a"),
        vec![(":method", "BREW"), scheme, authority, path],
    ));
    cases.push(served(
        case("rfc9113_8_3_1_pseudo_headers_in_another_order").forwards("GET / HTTP/1.1\nHost: a"),
        vec![path, authority, scheme, get],
    ));
    cases
}

/// RFC 9113 section 8.5: a tunnel to anywhere is nothing that this proxy makes.
fn connect() -> Vec<H2Case> {
    let [_, scheme, _, path] = GET;
    let connect = |more: &[(&'static str, &'static str)]| and(&[(":method", "CONNECT")], more);
    let mut cases = refused(
        "rfc9113_8_5",
        &[
            ("connect_with_a_scheme", connect(&[(":authority", "a:80"), scheme])),
            ("connect_with_a_path", connect(&[(":authority", "a:80"), path])),
            ("connect_to_nobody", connect(&[])),
        ],
    );
    cases.push(plays(case("rfc9113_8_5_connect_is_refused"), |scene| {
        let stream = scene.client.request(&[(":method", "CONNECT"), (":authority", "a:80")]);
        let answer = scene.client.ended(stream)?;
        if !matches!(answer.status(), Some("400" | "405" | "501")) {
            return Err(format!("expected a refusal, seen {answer:?}"));
        }
        scene.client.serves()
    }));
    cases
}

/// RFC 8441 section 4: CONNECT with a protocol.
fn extended_connect() -> Vec<H2Case> {
    let [get, scheme, authority, path] = GET;
    let (connect, websocket) = ((":method", "CONNECT"), (":protocol", "websocket"));
    refused(
        "rfc8441_4",
        &[
            ("a_protocol_without_connect", vec![get, scheme, authority, path, websocket]),
            ("connect_with_a_protocol_and_no_scheme", vec![connect, authority, path, websocket]),
            ("connect_with_a_protocol_and_no_path", vec![connect, scheme, authority, websocket]),
            ("two_protocols", vec![connect, scheme, authority, path, websocket, websocket]),
            ("a_protocol_after_a_field", vec![connect, scheme, authority, path, ("a", "b"), websocket]),
        ],
    )
}
