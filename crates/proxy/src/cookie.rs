//! Cookies in requests (RFC 6265 section 4.2): finding one by name, and taking some out without touching the others.

use http::header::{COOKIE, Entry, HeaderMap, HeaderValue};

/// The values of all cookies whose names `is_wanted` says, in their order; several `Cookie` lines count as one.
pub fn values(headers: &HeaderMap, is_wanted: impl Fn(&[u8]) -> bool) -> impl Iterator<Item = &[u8]> {
    let pairs = headers.get_all(COOKIE).iter().flat_map(|line| pairs_of(line.as_bytes()));
    pairs.filter_map(split).filter_map(move |(name, value)| is_wanted(name).then_some(value))
}

/// Removes the cookies whose names `is_removed` says. All others stay as they are, byte for byte and in their order; a `Cookie`
/// line that has none left is removed. Nothing is allocated when there is nothing to remove.
pub fn remove(headers: &mut HeaderMap, is_removed: impl Fn(&[u8]) -> bool) {
    let is_hit = |line: &HeaderValue| pairs_of(line.as_bytes()).any(|pair| is_named(pair, &is_removed));
    if !headers.get_all(COOKIE).iter().any(is_hit) {
        return;
    }
    let Entry::Occupied(entry) = headers.entry(COOKIE) else { return };
    let lines: Vec<HeaderValue> = entry.iter().filter_map(|line| without(line, &is_removed)).collect();
    entry.remove_entry_mult();
    lines.into_iter().for_each(|line| {
        headers.append(COOKIE, line);
    });
}

fn pairs_of(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|&byte| byte == b';')
}

/// Name and value of `pair`; `None` when it is no pair.
fn split(pair: &[u8]) -> Option<(&[u8], &[u8])> {
    let pair = pair.trim_ascii();
    let equals = pair.iter().position(|&byte| byte == b'=')?;
    Some((pair[..equals].trim_ascii_end(), pair[equals + 1..].trim_ascii_start()))
}

fn is_named(pair: &[u8], is_removed: impl Fn(&[u8]) -> bool) -> bool {
    split(pair).is_some_and(|(name, _)| is_removed(name))
}

/// The line without the cookies that are removed; `None` when nothing is left of it.
fn without(line: &HeaderValue, is_removed: impl Fn(&[u8]) -> bool) -> Option<HeaderValue> {
    let bytes = line.as_bytes();
    if !pairs_of(bytes).any(|pair| is_named(pair, &is_removed)) {
        return Some(line.clone());
    }
    let mut kept = Vec::with_capacity(bytes.len());
    for pair in pairs_of(bytes).filter(|pair| !is_named(pair, &is_removed)) {
        if kept.is_empty() {
            kept.extend_from_slice(pair.trim_ascii_start());
        } else {
            kept.push(b';');
            kept.extend_from_slice(pair);
        }
    }
    if kept.is_empty() { None } else { HeaderValue::from_maybe_shared(bytes::Bytes::from(kept)).ok() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        lines.iter().map(|line| (COOKIE, HeaderValue::from_bytes(line.as_bytes()).unwrap())).collect()
    }

    fn found(lines: &[&str]) -> Vec<String> {
        let headers = headers(lines);
        values(&headers, |name| name == b"cutover")
            .map(|value| String::from_utf8_lossy(value).into_owned())
            .collect()
    }

    fn removed(lines: &[&str]) -> Vec<String> {
        let mut headers = headers(lines);
        remove(&mut headers, |name| name == b"cutover");
        let text = |line: &HeaderValue| String::from_utf8_lossy(line.as_bytes()).into_owned();
        headers.get_all(COOKIE).iter().map(text).collect()
    }

    #[test]
    fn cookies_are_found_by_their_exact_name() {
        assert_eq!(found(&["cutover=1"]), ["1"]);
        assert_eq!(found(&["a=b; cutover=1==; c=d"]), ["1=="]);
        assert_eq!(found(&["a=b;cutover=1;cutover=2", "cutover=3"]), ["1", "2", "3"]);
        assert_eq!(found(&["cutover=", "; cutover = 4 ;"]), ["", "4"]);
        assert!(found(&["cutover", "Cutover=1; xcutover=1; cutoverx=1; a=cutover=1"]).is_empty());
        assert!(found(&[]).is_empty());
    }

    #[test]
    fn a_cookie_is_removed_and_the_others_stay() {
        assert_eq!(removed(&["a=1; cutover=x; b=2"]), ["a=1; b=2"]);
        assert_eq!(removed(&["cutover=x; b=2"]), ["b=2"]);
        assert_eq!(removed(&["a=1;cutover=x"]), ["a=1"]);
        assert_eq!(removed(&["a=\"1 2\";  b;;=;cutover=x;c=\u{e9} "]), ["a=\"1 2\";  b;;=;c=\u{e9} "]);
        assert_eq!(removed(&["cutover=x", "b=2", "c=3; cutover=y"]), ["b=2", "c=3"]);
    }

    #[test]
    fn a_line_without_cookies_is_removed() {
        for line in ["cutover=x", "cutover=x;", " ; cutover=x ; ", "cutover=x; cutover=y"] {
            assert!(removed(&[line]).iter().all(|rest| rest.trim_matches([' ', ';']).is_empty()), "{line:?}");
        }
        assert!(removed(&["cutover=x"]).is_empty() && removed(&["cutover=x;"]).is_empty());
    }

    proptest! {
        #[test]
        fn removal_leaves_every_other_cookie_byte_for_byte(
            pairs in prop::collection::vec("(cutover=[a-z]{0,3}| ?[a-z=\" ]{0,8})", 0..6),
        ) {
            let line = pairs.join(";");
            let kept: Vec<&[u8]> =
                pairs_of(line.as_bytes()).filter(|pair| !is_named(pair, |name| name == b"cutover")).collect();
            let rest = removed(&[&line]).join("\n");
            prop_assert!(found(&[&rest]).is_empty());
            let trimmed = |pairs: Vec<&[u8]>| -> Vec<Vec<u8>> {
                let text = pairs.iter().map(|pair| pair.trim_ascii().to_vec());
                text.skip_while(Vec::is_empty).filter(|pair| !pair.is_empty()).collect()
            };
            prop_assert_eq!(trimmed(pairs_of(rest.as_bytes()).collect()), trimmed(kept));
        }

        #[test]
        fn any_bytes_are_read_and_rewritten(line in prop::collection::vec(0x20_u8..=0xff, 0..40)) {
            if let Ok(value) = HeaderValue::from_bytes(&line) {
                let mut headers = HeaderMap::from_iter([(COOKIE, value.clone())]);
                let had = values(&headers, |name| name == b"a").count();
                remove(&mut headers, |name| name == b"a");
                prop_assert_eq!(values(&headers, |name| name == b"a").count(), 0);
                prop_assert!(had > 0 || headers.get(COOKIE) == Some(&value));
            }
        }
    }
}
