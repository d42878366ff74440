//! The dashboard: a page and its files, built from `dashboard/` and embedded. They hold no data, so anybody may read them; what they show
//! comes from the API, with the token of whoever looks.

use std::io::Write as _;
use std::sync::OnceLock;

use axum::body::Bytes;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
    VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::problem::Problem;

const PAGE: &[u8] = include_bytes!("../../dashboard/index.html");

/// The files that the page loads: name, type, content. The name of each has a hash of the content in it.
const FILES: &[(&str, &str, &[u8])] = &include!("../../dashboard/files.inc");

/// Nothing but our own files, and no way to smuggle code into a page on which people flip.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// The next release may have another page at once.
const REVALIDATE: &str = "no-cache";
/// Another content has another name.
const FOREVER: &str = "public, max-age=31536000, immutable";

const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// The page.
pub(super) async fn page(headers: HeaderMap) -> Response {
    static PACKED: OnceLock<Bytes> = OnceLock::new();
    let mut response = file(&headers, PAGE, &PACKED);
    for (name, value) in [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, REVALIDATE),
        (CONTENT_SECURITY_POLICY, POLICY),
        (PERMISSIONS_POLICY, "camera=(), geolocation=(), microphone=()"),
        (OPENER_POLICY, "same-origin"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// A file of the page.
pub(super) async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    static PACKED: [OnceLock<Bytes>; FILES.len()] = [const { OnceLock::new() }; FILES.len()];
    let found = FILES.iter().zip(&PACKED).find(|((known, ..), _)| *known == name);
    let Some(((_, kind, content), packed)) = found else {
        return Err(Problem::missing("unknown_path", format!("there is nothing at /assets/{name}")));
    };
    let mut response = file(&headers, content, packed);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(FOREVER));
    Ok(response)
}

/// An embedded file, compressed once for all who take it so.
fn file(headers: &HeaderMap, content: &'static [u8], packed: &OnceLock<Bytes>) -> Response {
    let packed = takes_gzip(headers).then(|| packed.get_or_init(|| gzip(content)).clone());
    let packed = packed.filter(|packed| !packed.is_empty());
    let is_packed = packed.is_some();
    let mut response = packed.unwrap_or(Bytes::from_static(content)).into_response();
    let headers = response.headers_mut();
    if is_packed {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    for (name, value) in [
        (VARY, "accept-encoding"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (RESOURCE_POLICY, "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Whether gzip is among what the client takes (RFC 9110 section 12.5.3). Who says it in another way gets the file as it is.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let mut codings = values.flat_map(|value| value.split(','));
    codings.any(|coding| coding.trim().eq_ignore_ascii_case("gzip"))
}

/// Empty if it can't be made, which memory alone could be the reason for.
fn gzip(content: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let written = encoder.write_all(content).and_then(|()| encoder.finish());
    written.unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepting(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(value))])
    }

    #[test]
    fn gzip_is_for_those_who_ask_for_it() {
        assert!(takes_gzip(&accepting("deflate, GZIP, br")));
        for other in ["", "br", "gzip;q=0", "*", "xgzip"] {
            assert!(!takes_gzip(&accepting(other)), "{other}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[test]
    fn every_file_that_the_page_names_is_embedded_and_no_other() {
        let page = std::str::from_utf8(PAGE).unwrap();
        for (name, ..) in FILES {
            assert!(page.contains(&format!("\"./assets/{name}\"")), "{name} is not in {page}");
        }
        assert_eq!(page.matches("./assets/").count(), FILES.len(), "{page}");
        assert!(!page.contains("<style") && !page.contains("style=") && !page.contains("://"), "{page}");
    }

    #[test]
    fn what_is_compressed_is_the_same_file() {
        use std::io::Read as _;
        for (name, _, content) in FILES {
            let mut unpacked = Vec::new();
            flate2::read::GzDecoder::new(&*gzip(content)).read_to_end(&mut unpacked).unwrap();
            assert_eq!(&unpacked, content, "{name}");
        }
    }
}
