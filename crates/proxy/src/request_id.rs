//! `X-Request-Id`: kept when the client sent a sane one, else made; told to the app, the client and the log.

use cutover_core::entropy::Entropy;
use http::{HeaderMap, HeaderName, HeaderValue};

/// The header.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id that is taken from a client.
const LEN_MAX: usize = 128;

/// The request's id. Afterwards `headers` carries exactly this one.
///
/// An id is taken over when there is exactly one and it is 1–128 bytes of visible ASCII; else 128 bits from `entropy` are, in hex.
pub fn ensure(headers: &mut HeaderMap, entropy: &mut Entropy) -> HeaderValue {
    let mut given = headers.get_all(&X_REQUEST_ID).iter();
    if let (Some(id), None) = (given.next(), given.next())
        && is_sane(id.as_bytes())
    {
        return id.clone();
    }
    let id = make(entropy);
    headers.insert(X_REQUEST_ID, id.clone());
    id
}

fn is_sane(id: &[u8]) -> bool {
    (1..=LEN_MAX).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
}

fn make(entropy: &mut Entropy) -> HeaderValue {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let bits = u128::from(entropy.word()) << 64 | u128::from(entropy.word());
    let hex: [u8; 32] = std::array::from_fn(|at| DIGITS[(bits >> (124 - 4 * at)) as usize & 0xf]);
    HeaderValue::from_bytes(&hex).unwrap_or(HeaderValue::from_static("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ensured(given: &[&[u8]]) -> (HeaderValue, HeaderMap) {
        let mut headers = HeaderMap::new();
        for id in given {
            headers.append(X_REQUEST_ID, HeaderValue::from_bytes(id).unwrap());
        }
        let id = ensure(&mut headers, &mut Entropy::new(1));
        (id, headers)
    }

    #[test]
    fn a_sane_id_is_kept() {
        for id in ["x", "5f1c-9e/ab:==", &"x".repeat(128)] {
            assert_eq!(ensured(&[id.as_bytes()]).0, id);
        }
    }

    #[test]
    fn anything_else_is_replaced_by_a_made_one() {
        let long = [b'x'; 129];
        let cases: [&[&[u8]]; 6] = [&[], &[b""], &[b"a b"], &[b"\xe9"], &[&long], &[b"one", b"two"]];
        for given in cases {
            let (id, headers) = ensured(given);
            assert_eq!(id.len(), 32);
            assert!(id.as_bytes().iter().all(u8::is_ascii_hexdigit));
            assert_eq!(headers.get_all(X_REQUEST_ID).iter().collect::<Vec<_>>(), [&id]);
        }
    }

    #[test]
    fn made_ids_differ() {
        let mut entropy = Entropy::new(1);
        assert_ne!(make(&mut entropy), make(&mut entropy));
    }
}
