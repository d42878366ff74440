//! Names and values of fields, and those that HTTP/2 does not have.

use super::{GET, POST, and, refused, served};
use crate::case::case;
use crate::h2::frame::{Frame, flag, kind};
use crate::h2::hpack;
use crate::h2::stage::{Area, H2Case, plays};

pub(crate) fn area() -> Area {
    Area::usual([syntax(), bytes(), of_connections(), te(), cookies(), blocks()])
}

/// RFC 9113 section 8.2.1: what a name and a value are made of.
fn syntax() -> Vec<H2Case> {
    let rows: [(&str, &str, &str); 16] = [
        ("an_upper_case_name", "Accept", "a"),
        ("one_upper_case_letter", "x-A", "a"),
        ("an_empty_name", "", "a"),
        ("a_name_with_a_blank", "a b", "a"),
        ("a_name_with_a_colon", "a:b", "a"),
        ("a_name_with_a_line_in_it", "a\r\nb", "a"),
        ("a_name_with_a_nul", "a\0b", "a"),
        ("a_name_with_del", "a\x7fb", "a"),
        ("a_name_beyond_ascii", "aé", "a"),
        ("a_value_with_a_nul", "x-a", "a\0b"),
        ("a_value_with_a_line_feed", "x-a", "a\nb: c"),
        ("a_value_with_a_carriage_return", "x-a", "a\rb"),
        ("a_value_with_a_whole_request", "x-a", "a\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("a_value_that_begins_with_a_blank", "x-a", " a"),
        ("a_value_that_ends_with_a_blank", "x-a", "a "),
        ("a_value_that_ends_with_a_tab", "x-a", "a\t"),
    ];
    let rows: Vec<_> = rows.map(|(ending, name, value)| (ending, and(&GET, &[(name, value)]))).into();
    refused("rfc9113_8_2_1", &rows)
}

/// RFC 9113 section 8.2.1: what is allowed arrives.
fn bytes() -> Vec<H2Case> {
    [
        ("an_empty_value", "x-a", ""),
        ("a_value_with_blanks_in_it", "x-a", "a \t b"),
        ("a_value_beyond_ascii", "x-a", "é"),
        ("a_name_of_every_kind", "!#$%&'*+-.^_`|~09az", "1"),
    ]
    .into_iter()
    .map(|(ending, name, value)| {
        let value_on_wire: String = value.bytes().map(char::from).collect();
        let case = case(format!("rfc9113_8_2_1_{ending}"))
            .forwards(&format!("GET / HTTP/1.1\nHost: a\n{name}: {value_on_wire}"));
        served(case, and(&GET, &[(name, value)]))
    })
    .collect()
}

/// RFC 9113 section 8.2.2: fields about a connection.
fn of_connections() -> Vec<H2Case> {
    refused(
        "rfc9113_8_2_2",
        &[
            ("connection", and(&GET, &[("connection", "close")])),
            ("connection_that_names_a_field", and(&GET, &[("connection", "x-a"), ("x-a", "1")])),
            ("keep_alive", and(&GET, &[("keep-alive", "timeout=5")])),
            ("proxy_connection", and(&GET, &[("proxy-connection", "keep-alive")])),
            ("transfer_encoding", and(&POST, &[("transfer-encoding", "chunked")])),
            ("transfer_encoding_identity", and(&GET, &[("transfer-encoding", "identity")])),
            ("upgrade", and(&GET, &[("upgrade", "websocket")])),
            ("upgrade_to_itself", and(&GET, &[("upgrade", "h2c"), ("http2-settings", "")])),
        ],
    )
}

/// RFC 9113 section 8.2.2: the one value of TE.
fn te() -> Vec<H2Case> {
    let mut cases = refused(
        "rfc9113_8_2_2",
        &[
            ("te_gzip", and(&GET, &[("te", "gzip")])),
            ("te_trailers_and_more", and(&GET, &[("te", "trailers, gzip")])),
            ("te_empty", and(&GET, &[("te", "")])),
            ("te_twice", and(&GET, &[("te", "trailers"), ("te", "gzip")])),
        ],
    );
    cases.push(plays(
        case("rfc9113_8_2_2_te_trailers").forwards("GET / HTTP/1.1\nHost: a\nTE: trailers\nConnection: te"),
        |scene| {
            let stream = scene.client.request(&and(&GET, &[("te", "trailers")]));
            scene.client.gets(stream, 200).map(drop)
        },
    ));
    cases
}

/// RFC 9113 section 8.2.3: cookies come in crumbs, and HTTP/1.1 has them in one line.
fn cookies() -> Vec<H2Case> {
    let crumbs = |name: &str, crumbs: &'static [&'static str], line: &str| {
        let fields: Vec<(&str, &str)> =
            GET.into_iter().chain(crumbs.iter().map(|crumb| ("cookie", *crumb))).collect();
        let case = case(format!("rfc9113_8_2_3_{name}"))
            .forwards(&format!("GET / HTTP/1.1\nHost: a\nCookie: {line}"));
        served(case, fields)
    };
    vec![
        crumbs("crumbs_are_joined", &["a=b", "c=d", "e=f"], "a=b; c=d; e=f"),
        crumbs("one_crumb_stays", &["a=b; c=d"], "a=b; c=d"),
        crumbs("crumbs_of_several_cookies", &["a=b; c=d", "e=f"], "a=b; c=d; e=f"),
    ]
}

/// RFC 9113 section 4.3: a header block in pieces.
fn blocks() -> Vec<H2Case> {
    let in_pieces = |name: &str, size: usize| {
        let case = case(format!("rfc9113_4_3_{name}")).forwards("GET / HTTP/1.1\nHost: a\nX-A: 1");
        plays(case, move |scene| {
            let block = hpack::encode(&and(&GET, &[("x-a", "1")]));
            let pieces: Vec<&[u8]> = block.chunks(size).collect();
            let stream = scene.client.next;
            scene.client.next += 2;
            for (at, piece) in pieces.iter().enumerate() {
                let end = if at + 1 == pieces.len() { flag::END_HEADERS } else { flag::NONE };
                let (kind, flags) =
                    if at == 0 { (kind::HEADERS, end | flag::END_STREAM) } else { (kind::CONTINUATION, end) };
                scene.client.send(&Frame::new(kind, flags, stream, piece));
            }
            scene.client.gets(stream, 200)?;
            scene.client.serves()
        })
    };
    vec![in_pieces("a_block_in_two_frames", 20), in_pieces("a_block_in_many_small_frames", 16)]
}
