//! Tests of request targets.

use proptest::prelude::*;

use super::*;

/// Form, authority, path, query, and what goes on.
type Parts = (Form, Option<String>, String, Option<String>, String);

fn parse(method: &str, target: &[u8]) -> Result<Parts, TargetError> {
    let head = [method.as_bytes(), b" ", target, b" HTTP/1.1\r\n"].concat();
    let found = Target::parse(method.as_bytes(), target, method.len() + 1)?;
    Ok((
        found.form(),
        found.authority(&head).map(str::to_owned),
        String::from_utf8(found.path(&head).to_vec()).unwrap(),
        found.query(&head).map(str::to_owned),
        found.path_and_query(method.as_bytes(), &head).into_owned(),
    ))
}

fn assert_parts(method: &str, target: &str, expected: (Form, Option<&str>, &str, Option<&str>, &str)) {
    let (form, authority, path, query, forwarded) = expected;
    let (authority, query) = (authority.map(str::to_owned), query.map(str::to_owned));
    let expected = (form, authority, path.to_owned(), query, forwarded.to_owned());
    assert_eq!(parse(method, target.as_bytes()), Ok(expected), "{method} {target}");
}

#[test]
fn rfc9112_3_2_1_origin_form_goes_on_byte_for_byte() {
    let origin = |target: &str, path: &str, query: Option<&str>| {
        assert_parts("GET", target, (Form::Origin, None, path, query, target));
    };
    origin("/", "/", None);
    origin("/a/../b//c;d=%2e", "/a/../b//c;d=%2e", None);
    origin("/?", "/", Some(""));
    origin("/a?b=c?d/e", "/a", Some("b=c?d/e"));
    origin("//host/a", "//host/a", None);
    origin("/http://host@x", "/http://host@x", None);
    origin("/\"<>[\\]^`{|}~!$&'()*+,-.", "/\"<>[\\]^`{|}~!$&'()*+,-.", None);
    assert_parts("OPTIONS", "/*", (Form::Origin, None, "/*", None, "/*"));
}

#[test]
fn rfc9112_3_2_2_absolute_form_is_told_apart_into_authority_and_path() {
    let absolute = |target: &str, authority: &str, path: &str, query: Option<&str>, forwarded: &str| {
        assert_parts("GET", target, (Form::Absolute, Some(authority), path, query, forwarded));
    };
    absolute("http://h/", "h", "/", None, "/");
    absolute("HTTPS://h:8443/a?b", "h:8443", "/a", Some("b"), "/a?b");
    absolute("hTTp://[::1]:80//x", "[::1]:80", "//x", None, "//x");
    absolute("http://h/?a@b", "h", "/", Some("a@b"), "/?a@b");
    absolute("http://h/a@b:c", "h", "/a@b:c", None, "/a@b:c");
}

#[test]
fn rfc9112_3_2_1_an_absolute_form_without_a_path_asks_for_the_root() {
    let of = |method: &str, target: &str, query: Option<&str>, forwarded: &str| {
        assert_parts(method, target, (Form::Absolute, Some("h"), "/", query, forwarded));
    };
    of("GET", "http://h", None, "/");
    of("GET", "http://h?x=1", Some("x=1"), "/?x=1");
    of("GET", "http://h?x=/1", Some("x=/1"), "/?x=/1");
    of("GET", "http://h?", Some(""), "/?");
}

#[test]
fn rfc9112_3_2_4_options_without_a_path_asks_for_the_server_as_a_whole() {
    assert_parts("OPTIONS", "*", (Form::Asterisk, None, "*", None, "*"));
    assert_parts("OPTIONS", "http://h:1", (Form::Absolute, Some("h:1"), "/", None, "*"));
    assert_parts("OPTIONS", "http://h/", (Form::Absolute, Some("h"), "/", None, "/"));
    assert_parts("OPTIONS", "http://h?x", (Form::Absolute, Some("h"), "/", Some("x"), "/?x"));
    for (method, target) in
        [("GET", "*"), ("options", "*"), ("OPTIONS", "**"), ("OPTIONS", "*?a"), ("OPTIONS", "*/")]
    {
        assert_eq!(parse(method, target.as_bytes()), Err(TargetError::BadForm), "{method} {target}");
    }
}

#[test]
fn rfc9112_3_2_3_authority_form_belongs_to_connect_and_connect_to_it() {
    assert_parts("CONNECT", "h:443", (Form::Authority, None, "", None, "h:443"));
    assert_parts("CONNECT", "[::1]:443", (Form::Authority, None, "", None, "[::1]:443"));
    for target in ["h", "h:", ":443", "h:http", "/", "http://h:80", "http://h/", "u@h:443", "*", "h?a:1", ""]
    {
        assert_eq!(parse("CONNECT", target.as_bytes()), Err(TargetError::BadForm), "{target}");
    }
    for (method, target) in [("GET", "h:443"), ("connect", "h:443"), ("GET", "localhost"), ("POST", "a:/b")] {
        assert_eq!(parse(method, target.as_bytes()), Err(TargetError::BadForm), "{method} {target}");
    }
}

#[test]
fn rfc9112_3_2_what_has_no_form_is_refused() {
    for target in [
        "", "?a", "a", "ftp://h/", "http:/h", "http:h", "http//h", "https:", "http:", "ws://h/", "\\",
        "://h/",
    ] {
        assert_eq!(parse("GET", target.as_bytes()), Err(TargetError::BadForm), "{target:?}");
    }
}

#[test]
fn rfc9110_4_2_1_an_absolute_form_names_a_host() {
    for target in ["http://", "http:///", "http:///a", "https://:80/", "http://:", "http://?a", "http://?a@b"]
    {
        assert_eq!(parse("GET", target.as_bytes()), Err(TargetError::NoHost), "{target:?}");
    }
}

#[test]
fn rfc9110_4_2_4_user_information_is_refused() {
    for target in ["http://user@h/", "http://u:p@h", "https://@h/", "http://a@b@c/", "http://h@"] {
        assert_eq!(parse("GET", target.as_bytes()), Err(TargetError::UserInfo), "{target:?}");
    }
}

#[test]
fn rfc9112_3_2_no_byte_but_those_of_a_uri_is_let_through_wherever_it_stands() {
    for byte in 0..=u8::MAX {
        let expected = match byte {
            b'#' => Err(TargetError::Fragment),
            0x21..=0x7e => Ok(()),
            _ => Err(TargetError::BadByte),
        };
        for (before, after) in (0..20).flat_map(|before| (0..10).map(move |after| (before, after))) {
            for path in ["/", "/?", "http://h/"] {
                let target = [path.as_bytes(), &vec![b'a'; before], &[byte], &vec![b'~'; after]].concat();
                assert_eq!(parse("GET", &target).map(|_| ()), expected, "{target:?}");
            }
        }
    }
}

#[test]
fn rfc9112_3_2_the_first_wrong_byte_says_what_is_wrong() {
    assert_eq!(parse("GET", b"/a#b\x7f"), Err(TargetError::Fragment));
    assert_eq!(parse("GET", b"/a\x7fb#"), Err(TargetError::BadByte));
    assert_eq!(parse("GET", b"/aaaaaaaaaa#aa\x80"), Err(TargetError::Fragment));
}

proptest! {
    #[test]
    fn special_bytes_are_found_as_one_by_one(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0x20..0x26u8, 0x3e..0x41u8, 0x7d..0x82u8], 0..40),
    ) {
        let is_special = |&byte: &u8| !(0x21..0x7f).contains(&byte) || byte == b'#' || byte == b'?';
        prop_assert_eq!(first_special(&bytes), bytes.iter().position(is_special).unwrap_or(bytes.len()));
    }

    #[test]
    fn any_bytes_are_parsed_or_refused(method in "GET|OPTIONS|CONNECT", target in prop::collection::vec(any::<u8>(), 0..60)) {
        _ = parse(&method, &target);
    }

    #[test]
    fn what_goes_on_is_what_came(
        method in "GET|OPTIONS|CONNECT|X",
        target in "(http://|HTTPS://|/|)[a-z:/?*@\\[\\].%]{0,20}",
    ) {
        if let Ok((form, authority, path, query, forwarded)) = parse(&method, target.as_bytes()) {
            let joined = path + &query.map(|query| format!("?{query}")).unwrap_or_default();
            match form {
                Form::Authority => prop_assert!(joined.is_empty() && forwarded == target && authority.is_none()),
                Form::Origin | Form::Asterisk => prop_assert!(joined == target && forwarded == target),
                Form::Absolute => {
                    prop_assert!(forwarded == joined || (forwarded == "*" && joined == "/"));
                    let scheme = if target.as_bytes()[4] == b':' { 7 } else { 8 };
                    let before = format!("{}{}", &target[..scheme], authority.unwrap_or_default());
                    let is_whole = |path: &str| format!("{before}{path}") == target;
                    prop_assert!(is_whole(&joined) || is_whole(&joined[1..]));
                }
            }
        }
    }
}
