//! Query parameters of the app server's routes.

use hyper::Uri;

/// Every `name=value` of the query, percent-decoded, in order.
pub(super) fn pairs(uri: &Uri) -> impl Iterator<Item = (String, String)> {
    let parts = uri.query().unwrap_or("").split('&').filter(|part| !part.is_empty());
    parts.map(|part| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        (decoded(name), decoded(value))
    })
}

/// The first value of `name`.
pub(super) fn text(uri: &Uri, name: &str) -> Option<String> {
    pairs(uri).find_map(|(known, value)| (known == name).then_some(value))
}

/// The first value of `name`, if it is a number.
pub(super) fn number(uri: &Uri, name: &str) -> Option<u64> {
    text(uri, name)?.parse().ok()
}

/// Percent-decoding (RFC 3986 section 2.1); what isn't a valid escape stays as it is.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escape = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match escape.and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_and_broken_ones_stay() {
        let uri: Uri = "/x?a=public%2C%20max-age=60&b=%zz&c=5%".parse().unwrap();

        let pairs: Vec<_> = pairs(&uri).collect();

        assert_eq!(pairs[0], ("a".into(), "public, max-age=60".into()));
        assert_eq!(pairs[1].1, "%zz");
        assert_eq!(pairs[2].1, "5%");
    }
}
