//! Which answers are compressed, and what clients get of them.

use super::*;

const POLICY: Compression = Compression { min_size: 100 };

/// The head of an answer with these fields, as the client gets it; and whether its body is compressed.
fn begun(method: &Method, status: u16, wanted: Option<Coding>, pairs: &[(&str, &str)]) -> (Fields, bool) {
    let mut fields: Fields = pairs.iter().copied().collect();
    let status = StatusCode::from_u16(status).unwrap();
    let subject = Subject { method, status, wanted, known: None };
    let encoder = begin(&POLICY, &Encoders::default(), &subject, &mut fields);
    (fields, encoder.is_some())
}

fn got(pairs: &[(&str, &str)]) -> (Fields, bool) {
    begun(&Method::GET, 200, Some(Coding::Gzip), pairs)
}

fn pairs(fields: &[(&str, &str)]) -> Fields {
    fields.iter().copied().collect()
}

const HTML: (&str, &str) = ("Content-Type", "text/html");

#[test]
fn a_compressed_answer_says_what_it_is() {
    let (fields, is_coded) = got(&[HTML, ("Content-Length", "100")]);
    let expected = [HTML, ("Vary", "Accept-Encoding"), ("Content-Encoding", "gzip")];
    assert!(is_coded);
    assert_eq!(fields, pairs(&expected));
}

#[test]
fn what_was_said_of_the_other_form_is_not_said() {
    let (fields, is_coded) = got(&[
        HTML,
        ("ETag", "\"a\""),
        ("Accept-Ranges", "bytes"),
        ("Content-MD5", "x"),
        ("Digest", "x"),
        ("Repr-Digest", "x"),
        ("Content-Digest", "x"),
        ("Want-Repr-Digest", "sha-256=1"),
    ]);
    assert!(is_coded);
    let expected = [
        HTML,
        ("Want-Repr-Digest", "sha-256=1"),
        ("Vary", "Accept-Encoding"),
        ("Content-Encoding", "gzip"),
        ("ETag", "W/\"a\""),
    ];
    assert_eq!(fields, pairs(&expected));
    let (fields, _) = got(&[HTML, ("ETag", "W/\"a\"")]);
    assert_eq!(fields.first(Name::ETag), Some(&b"W/\"a\""[..]));
}

#[test]
fn answers_that_stay_as_they_are() {
    for left in [
        &[("Content-Type", "image/png")][..],
        &[],
        &[HTML, ("Content-Encoding", "br")],
        &[HTML, ("Content-Encoding", "identity")],
        &[HTML, ("Cache-Control", "public, No-Transform")],
        &[HTML, ("Content-Length", "99")],
        &[HTML, ("Content-Range", "bytes 0-5/6")],
        &[("Content-Type", "text/event-stream")],
    ] {
        let (fields, is_coded) = got(left);
        assert!(!is_coded);
        assert_eq!(fields, pairs(left), "nothing is said of what can't be");
    }
    for status in [101, 103, 204, 205, 206, 304] {
        let (fields, is_coded) = begun(&Method::GET, status, Some(Coding::Gzip), &[HTML]);
        assert!(!is_coded, "{status}");
        assert_eq!(fields, pairs(&[HTML]), "{status}");
    }
    for status in [200, 201, 404, 500] {
        assert!(begun(&Method::POST, status, Some(Coding::Gzip), &[HTML]).1, "{status}");
    }
}

#[test]
fn caches_keep_the_forms_apart() {
    let (fields, is_coded) = begun(&Method::GET, 200, None, &[HTML, ("ETag", "\"a\""), ("Vary", "Accept")]);
    assert!(!is_coded);
    assert_eq!(fields, pairs(&[HTML, ("ETag", "\"a\""), ("Vary", "Accept, Accept-Encoding")]));
    for vary in ["*", "Cookie, accept-encoding"] {
        let (fields, _) = got(&[HTML, ("Vary", vary)]);
        assert_eq!(fields.first(Name::Vary), Some(vary.as_bytes()));
    }
}

#[test]
fn a_head_is_the_same_without_its_body() {
    let of = |method| {
        begun(method, 200, Some(Coding::Zstd), &[HTML, ("ETag", "\"a\""), ("Content-Length", "1000")])
    };
    let (get, is_coded) = of(&Method::GET);
    let (head, is_head_coded) = of(&Method::HEAD);
    assert_eq!(get, head);
    assert!(is_coded && !is_head_coded);
}

#[test]
fn a_tag_is_confirmed_as_the_client_knows_it() {
    let confirmed = |known: &str| {
        let mut fields = pairs(&[("ETag", "\"b\"")]);
        let known = Some(known.as_bytes());
        let (method, status) = (&Method::GET, StatusCode::NOT_MODIFIED);
        let subject = Subject { method, status, wanted: Some(Coding::Gzip), known };
        assert!(begin(&POLICY, &Encoders::default(), &subject, &mut fields).is_none());
        fields
    };
    assert_eq!(confirmed("W/\"a\", W/\"b\""), pairs(&[("Vary", "Accept-Encoding"), ("ETag", "W/\"b\"")]));
    assert_eq!(confirmed("\"b\""), pairs(&[("ETag", "\"b\"")]));
    assert_eq!(confirmed("*"), pairs(&[("ETag", "\"b\"")]));
}

#[test]
fn without_a_coder_to_spare_an_answer_goes_as_it_is() {
    let encoders = Encoders::default();
    let all: Vec<_> = std::iter::from_fn(|| encoders.begin(Coding::Gzip)).collect();
    let mut fields = pairs(&[HTML, ("Content-Length", "1000")]);
    let (method, status) = (&Method::GET, StatusCode::OK);
    let subject = Subject { method, status, wanted: Some(Coding::Gzip), known: None };
    assert!(begin(&POLICY, &encoders, &subject, &mut fields).is_none());
    assert_eq!(fields, pairs(&[HTML, ("Content-Length", "1000"), ("Vary", "Accept-Encoding")]));
    drop(all);
    assert!(begin(&POLICY, &encoders, &subject, &mut fields).is_some());
}
