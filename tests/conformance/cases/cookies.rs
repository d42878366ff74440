//! The pin on the wire: a cookie that is ours among those that are not.

use crate::case::{Case, each, get};
use crate::stage::Area;

pub(crate) fn area() -> Area {
    Area::usual([taken_out(), left_alone(), handed_out()])
}

/// RFC 6265 section 4.2.1: our cookie is for us; what it leaves behind is a cookie string again.
fn taken_out() -> Vec<Case> {
    let rows = [
        ("first", "cutover=x; a=1; b=2", "\nCookie: a=1; b=2"),
        ("in_the_middle", "a=1; cutover=x; b=2", "\nCookie: a=1; b=2"),
        ("last", "a=1; b=2; cutover=x", "\nCookie: a=1; b=2"),
        ("alone", "cutover=x", ""),
        ("without_a_value", "a=1; cutover=", "\nCookie: a=1"),
        ("twice", "cutover=x; a=1; cutover=y", "\nCookie: a=1"),
        ("without_a_blank", "a=1;cutover=x;b=2", "\nCookie: a=1;b=2"),
        ("with_the_prefix_for_tls", "__Host-cutover=x; a=1", "\nCookie: a=1"),
        ("on_one_of_two_lines", "a=1\r\nCookie: cutover=x", "\nCookie: a=1"),
        ("beside_the_odd", "a=\"1 2\";  b;;=;cutover=x;c=\u{7c}", "\nCookie: a=\"1 2\";  b;;=;c=\u{7c}"),
    ];
    rows.iter()
        .map(|(what, cookie, left)| {
            crate::case::case(format!("rfc6265_4_2_1_the_pin_is_taken_out_{what}"))
                .send(format!("GET / HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\n\r\n"))
                .forwards(&format!("GET / HTTP/1.1\nHost: a{left}"))
                .gets(200)
        })
        .collect()
}

/// RFC 6265 section 4.2.1: every other cookie goes on byte for byte.
fn left_alone() -> Vec<Case> {
    let rows = [
        ("one", "a=1"),
        ("several", "a=1; b=2; c=3"),
        ("one_whose_name_begins_like_the_pin", "cutover2=x; cutover_=y"),
        ("one_whose_name_ends_like_the_pin", "xcutover=x; my-cutover=y"),
        ("one_in_another_case", "Cutover=x; CUTOVER=y"),
        ("one_whose_value_is_like_the_pin", "a=cutover=x; b=\"cutover=y\""),
        ("a_name_without_a_value", "cutover; a"),
        ("odd_ones", "a=\"x y\"; =c;; ;d=%41=;  e"),
        ("two_lines", "a=1\r\nCookie: b=2"),
        ("an_empty_line", ""),
    ];
    each("rfc6265_4_2_1_left_alone", &rows, |case, cookie| {
        case.send(format!("GET / HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\n\r\n"))
            .forwards(&format!("GET / HTTP/1.1\nHost: a\nCookie: {}", cookie.replace("\r\n", "\n")))
            .gets(200)
    })
}

/// RFC 6265 section 4.1 and RFC 9111 section 5.2.2: a pin is handed out once, where no cache can give it to others.
fn handed_out() -> Vec<Case> {
    let answer = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 2\r\n\r\nok");
    let forms = [
        ("no_store", "Cache-Control: no-store\r\n", "cache-control: no-store"),
        ("private", "Cache-Control: private, max-age=5\r\n", "cache-control: private, max-age=5"),
        ("no_cache", "Cache-Control: no-cache\r\n", "cache-control: no-cache, private"),
        ("nothing_said", "", "cache-control: private"),
    ];
    let mut cases: Vec<Case> = forms
        .iter()
        .map(|(what, fields, expected)| {
            get(format!("rfc9111_5_2_2_a_pin_with_{what}"))
                .answering(answer(fields))
                .gets(200)
                .times("set-cookie", 1)
                .has(expected)
        })
        .collect();
    for (what, fields) in
        [("public", "Cache-Control: public\r\n"), ("s_maxage", "Cache-Control: s-maxage=60\r\n")]
    {
        cases.push(
            get(format!("rfc9111_5_2_2_no_pin_with_{what}"))
                .answering(answer(fields))
                .gets(200)
                .lacks("set-cookie"),
        );
    }
    cases.extend([
        get("rfc9111_4_3_4_no_pin_with_not_modified")
            .answering("HTTP/1.1 304 Not Modified\r\n\r\n")
            .gets(304)
            .lacks("set-cookie"),
        get("rfc6265_4_1_a_pin_beside_the_apps_cookies")
            .answering(answer("Set-Cookie: a=b\r\n"))
            .gets(200)
            .times("set-cookie", 2)
            .has("set-cookie: a=b"),
        get("rfc6265_4_1_an_app_that_declines_the_pin")
            .answering(answer("Cutover-Pin: none\r\n"))
            .gets(200)
            .lacks("set-cookie")
            .lacks("cutover-pin"),
        get("rfc6265_4_1_an_app_that_ends_the_pin")
            .answering(answer("Cutover-Pin: end\r\n"))
            .gets(200)
            .has("set-cookie: cutover=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0")
            .lacks("cutover-pin"),
        get("rfc6265_4_1_a_pin_with_an_error")
            .answering("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
            .gets(500)
            .times("set-cookie", 1),
    ]);
    cases
}
