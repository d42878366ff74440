//! Methods, targets and versions.

use crate::case::{Case, case, each};
use crate::stage::Area;

pub(crate) fn area() -> Area {
    Area::usual([
        shapes(),
        methods(),
        versions(),
        wrong_versions(),
        origin_form(),
        wrong_targets(),
        absolute_form(),
        wrong_absolute_form(),
        other_forms(),
    ])
}

/// RFC 9112 section 3: three parts with one space between them each.
fn shapes() -> Vec<Case> {
    let rows = [
        ("two_spaces_before_the_target", "GET  / HTTP/1.1"),
        ("two_spaces_before_the_version", "GET /  HTTP/1.1"),
        ("a_space_at_the_end", "GET / HTTP/1.1 "),
        ("a_tab_before_the_target", "GET\t/ HTTP/1.1"),
        ("a_tab_before_the_version", "GET /\tHTTP/1.1"),
        ("a_vertical_tab_before_the_target", "GET\x0b/ HTTP/1.1"),
        ("no_target", "GET HTTP/1.1"),
        ("an_empty_target", "GET  HTTP/1.1"),
        ("no_version", "GET /"),
        ("no_version_and_a_space", "GET / "),
        ("nothing_but_a_method", "GET"),
        ("four_parts", "GET / x HTTP/1.1"),
        ("two_versions", "GET / HTTP/1.1 HTTP/1.1"),
        ("an_answer", "HTTP/1.1 200 OK"),
    ];
    each("rfc9112_3_request_line_with", &rows, |case, line| {
        case.send(format!("{line}\r\nHost: a\r\n\r\n")).refused(400)
    })
}

/// RFC 9112 section 3.1: a method is a token, whatever its case and whether anybody knows it.
fn methods() -> Vec<Case> {
    let known = [
        ("of_lower_case", "get"),
        ("that_is_unknown", "BREW"),
        ("of_webdav", "MKCOL"),
        ("with_every_kind_of_character", "A!#$%&'*+-.^_`|~0z"),
        ("of_one_letter", "X"),
    ];
    let mut cases = each("rfc9112_3_1_method", &known, |case, method| {
        case.send(format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n"))
            .forwards(&format!("{method} / HTTP/1.1\nHost: a"))
            .gets(200)
    });
    let wrong: [(&str, &[u8]); 7] = [
        ("with_a_slash", b"G/T"),
        ("in_quotes", b"\"GET\""),
        ("with_an_at_sign", b"G@T"),
        ("with_a_colon", b"GET:"),
        ("with_a_nul", b"G\0T"),
        ("with_obs_text", b"G\xc9T"),
        ("that_is_empty", b""),
    ];
    cases.extend(each("rfc9112_3_1_method", &wrong, |case, method| {
        case.send([method, b" / HTTP/1.1\r\nHost: a\r\n\r\n"].concat()).refused(400)
    }));
    cases.push(
        case("rfc9112_3_1_method_that_is_too_long")
            .send(format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", "A".repeat(64)))
            .refused(501),
    );
    cases
}

/// RFC 9110 section 2.5: a higher minor version is handled as the highest that we know. What goes on is a message of ours.
fn versions() -> Vec<Case> {
    let rows = ["1.2", "1.3", "1.9"].map(|version| (version, version));
    let mut cases = Vec::new();
    for (version, _) in rows {
        cases.push(
            case(format!("rfc9110_2_5_version_{}", version.replace('.', "_dot_")))
                .send(format!("GET / HTTP/{version}\r\nHost: a\r\n\r\n"))
                .forwards("GET / HTTP/1.1\nHost: a")
                .gets(200),
        );
    }
    cases.push(
        case("rfc9110_2_5_version_1_dot_2_without_a_host")
            .send("GET / HTTP/1.2\r\nA: b\r\n\r\n")
            .refused(400),
    );
    cases
}

/// RFC 9112 section 2.3: the name of the protocol in capitals, a digit, a dot, a digit.
fn wrong_versions() -> Vec<Case> {
    let malformed = [
        ("in_lower_case", "http/1.1"),
        ("in_mixed_case", "Http/1.1"),
        ("of_two_digits", "HTTP/1.10"),
        ("of_two_digits_before_the_dot", "HTTP/11.1"),
        ("with_a_leading_zero", "HTTP/01.1"),
        ("without_a_minor_number", "HTTP/1"),
        ("without_the_digit_behind_the_dot", "HTTP/1."),
        ("without_the_digit_before_the_dot", "HTTP/.1"),
        ("with_a_comma", "HTTP/1,1"),
        ("with_a_letter", "HTTP/1.x"),
        ("without_a_slash", "HTTP1.1"),
        ("of_another_protocol", "HTTPS/1.1"),
        ("of_yet_another_protocol", "RTSP/1.0"),
        ("with_junk_behind", "HTTP/1.1x"),
        ("with_a_plus", "HTTP/+1.1"),
    ];
    let mut cases = each("rfc9112_2_3_version", &malformed, |case, version| {
        case.send(format!("GET / {version}\r\nHost: a\r\n\r\n")).refused(400)
    });
    let other = [
        ("zero_dot_9", "HTTP/0.9"),
        ("two_dot_0", "HTTP/2.0"),
        ("three_dot_0", "HTTP/3.0"),
        ("nine_dot_9", "HTTP/9.9"),
    ];
    cases.extend(each("rfc9110_15_6_6_major_version", &other[1..], |case, version| {
        case.send(format!("GET / {version}\r\nHost: a\r\n\r\n")).refused(505)
    }));
    cases.extend(each("rfc9112_2_3_version", &other[..1], |case, version| {
        case.send(format!("GET / {version}\r\nHost: a\r\n\r\n")).refused(505)
    }));
    cases.push(case("rfc9112_2_3_a_simple_request_is_no_request").send("GET /\r\n\r\n").refused(400));
    cases
}

/// RFC 9112 section 3.2.1: the target goes on byte for byte.
fn origin_form() -> Vec<Case> {
    let rows = [
        ("with_a_query", "/a?b=c&d"),
        ("with_an_empty_query", "/a?"),
        ("with_several_question_marks", "/a?b?c"),
        ("with_two_slashes_at_first", "//a/b"),
        ("with_dot_segments", "/a/./b/../c"),
        ("with_escapes", "/%2e%2E/%00%2f%zz"),
        ("with_a_broken_escape", "/a%"),
        ("with_a_colon", "/a:80/b"),
        ("with_an_at_sign", "/a@b"),
        ("with_an_address_inside", "/http://b/c"),
        ("with_odd_characters", "/a!$&'()*+,;=~_-.|\\^`{}\"<>[]"),
        ("with_a_backslash_at_first", "/\\a"),
    ];
    let mut cases = each("rfc9112_3_2_1_target", &rows, |case, target| {
        case.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"))
            .forwards(&format!("GET {target} HTTP/1.1\nHost: a"))
            .gets(200)
    });
    let long = format!("/{}", "a".repeat(6000));
    cases.push(
        case("rfc9112_3_a_request_line_of_six_thousand_bytes")
            .send(format!("GET {long} HTTP/1.1\r\nHost: a\r\n\r\n"))
            .forwards(&format!("GET {long} HTTP/1.1\nHost: a"))
            .gets(200),
    );
    cases
}

/// RFC 9112 section 3.2: a target has no fragment, and nothing but visible ASCII.
fn wrong_targets() -> Vec<Case> {
    let rows: [(&str, &[u8]); 13] = [
        ("with_a_fragment", b"/a#b"),
        ("with_an_empty_fragment", b"/a#"),
        ("that_is_a_fragment", b"#a"),
        ("with_latin_1", b"/caf\xe9"),
        ("with_utf_8", b"/caf\xc3\xa9"),
        ("with_a_nul", b"/a\0b"),
        ("with_a_tab", b"/a\tb"),
        ("with_an_escape_character", b"/a\x1bb"),
        ("with_a_delete", b"/a\x7fb"),
        ("without_a_slash_at_first", b"a/b"),
        ("that_is_a_question_mark", b"?a=b"),
        ("that_begins_with_a_backslash", b"\\a"),
        ("that_begins_with_a_dot", b"./a"),
    ];
    each("rfc9112_3_2_target", &rows, |case, target| {
        case.send([b"GET ", target, b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat()).refused(400)
    })
}

/// RFC 9112 section 3.2.2: an absolute target says which host is meant, whatever `Host` says; the upstream gets both in agreement.
fn absolute_form() -> Vec<Case> {
    let rows = [
        ("with_another_host", "http://b/c", "/c", "b"),
        ("with_a_port", "http://b:81/c?d", "/c?d", "b:81"),
        ("without_a_path", "http://b", "/", "b"),
        ("without_a_path_but_with_a_query", "http://b?c", "/?c", "b"),
        ("of_https", "https://b/c", "/c", "b"),
        ("of_a_scheme_in_capitals", "HTTP://b/c", "/c", "b"),
        ("with_an_address", "http://[::1]:81/c", "/c", "[::1]:81"),
        ("with_two_slashes_in_its_path", "http://b//c", "//c", "b"),
    ];
    let mut cases: Vec<Case> = rows
        .iter()
        .map(|(what, target, path, host)| {
            case(format!("rfc9112_3_2_2_absolute_target_{what}"))
                .send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"))
                .forwards(&format!("GET {path} HTTP/1.1\nHost: {host}\nX-Forwarded-Host: {host}"))
                .gets(200)
        })
        .collect();
    cases.push(
        case("rfc9112_3_2_2_absolute_target_in_http_1_0_without_a_host")
            .send("GET http://b/c HTTP/1.0\r\n\r\n")
            .forwards("GET /c HTTP/1.1\nHost: b")
            .gets(200)
            .closed(),
    );
    cases.push(
        case("rfc9112_3_2_2_absolute_target_and_an_invalid_host")
            .send("GET http://b/c HTTP/1.1\r\nHost: a b\r\n\r\n")
            .refused(400),
    );
    cases.push(
        case("rfc9112_3_2_absolute_target_without_a_host_field")
            .send("GET http://b/c HTTP/1.1\r\nA: b\r\n\r\n")
            .refused(400),
    );
    cases.push(
        case("rfc9112_3_2_absolute_target_and_two_hosts")
            .send("GET http://b/c HTTP/1.1\r\nHost: b\r\nHost: b\r\n\r\n")
            .refused(400),
    );
    cases
}

/// RFC 9110 sections 4.2.1 and 4.2.4: an absolute target has a host and no user, and is one that we serve.
fn wrong_absolute_form() -> Vec<Case> {
    let rows = [
        ("with_a_user", "http://user@b/c"),
        ("with_a_password", "http://user:pass@b/c"),
        ("with_an_empty_user", "http://@b/c"),
        ("without_a_host", "http:///c"),
        ("with_a_port_and_no_host", "http://:80/c"),
        ("with_an_invalid_port", "http://b:x/c"),
        ("with_two_ports", "http://b:80:81/c"),
        ("with_a_comma_in_its_host", "http://b,c/d"),
        ("with_an_unclosed_bracket", "http://[::1/c"),
        ("of_ftp", "ftp://b/c"),
        ("of_a_file", "file:///etc/passwd"),
        ("of_no_scheme", "://b/c"),
        ("with_one_slash", "http:/b/c"),
        ("without_slashes", "http:b"),
        ("with_a_fragment", "http://b/c#d"),
        ("with_backslashes", "http:\\\\b\\c"),
        ("of_a_script", "javascript:alert(1)"),
    ];
    each("rfc9110_4_2_4_absolute_target", &rows, |case, target| {
        case.send(format!("GET {target} HTTP/1.1\r\nHost: b\r\n\r\n")).refused(400)
    })
}

/// RFC 9112 sections 3.2.3 and 3.2.4: `*` is for OPTIONS, an authority for CONNECT.
fn other_forms() -> Vec<Case> {
    vec![
        case("rfc9112_3_2_4_options_of_the_server")
            .send("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")
            .forwards("OPTIONS * HTTP/1.1\nHost: a")
            .gets(200),
        case("rfc9112_3_2_4_options_of_the_server_in_absolute_form")
            .send("OPTIONS http://b HTTP/1.1\r\nHost: a\r\n\r\n")
            .forwards("OPTIONS * HTTP/1.1\nHost: b")
            .gets(200),
        case("rfc9112_3_2_4_options_of_a_path_in_absolute_form")
            .send("OPTIONS http://b/ HTTP/1.1\r\nHost: a\r\n\r\n")
            .forwards("OPTIONS / HTTP/1.1\nHost: b")
            .gets(200),
        case("rfc9112_3_2_4_asterisk_of_another_method")
            .send("GET * HTTP/1.1\r\nHost: a\r\n\r\n")
            .refused(400),
        case("rfc9112_3_2_4_asterisk_and_more").send("OPTIONS *a HTTP/1.1\r\nHost: a\r\n\r\n").refused(400),
        case("rfc9112_3_2_3_authority_of_another_method")
            .send("GET b:80 HTTP/1.1\r\nHost: b:80\r\n\r\n")
            .refused(400),
        case("rfc9112_3_2_3_authority_without_a_port").send("GET b HTTP/1.1\r\nHost: b\r\n\r\n").refused(400),
        case("rfc9110_9_3_6_connect_is_not_served")
            .send("CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\n")
            .refused(405)
            .has("allow"),
        case("rfc9112_3_2_3_connect_to_a_path").send("CONNECT / HTTP/1.1\r\nHost: b\r\n\r\n").refused(400),
    ]
}
