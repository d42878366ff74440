//! What an answer says about a file.

use cutover_core::asset;
use http::StatusCode;

use crate::h1::head::AnswerHead;
use crate::message::fields::Fields;
use crate::message::name::Name;

/// Whether it says that there is no such file: in so many words, or by a page in its place.
pub(super) fn is_miss(path: &[u8], answer: &AnswerHead) -> bool {
    match answer.status {
        StatusCode::NOT_FOUND | StatusCode::GONE => true,
        status => status.is_success() && is_page(&answer.fields) && asset::is_no_page(path),
    }
}

/// Whether it is the file, or what was asked about it. Anything else of another version, such as a redirect or an error, is not worth more
/// than what the chosen one said.
pub(super) fn is_hit(path: &[u8], answer: &AnswerHead) -> bool {
    matches!(
        answer.status,
        StatusCode::OK
            | StatusCode::PARTIAL_CONTENT
            | StatusCode::NOT_MODIFIED
            | StatusCode::PRECONDITION_FAILED
            | StatusCode::RANGE_NOT_SATISFIABLE
    ) && !is_miss(path, answer)
}

/// Keeps a miss out of all caches: the file may be there in a moment, when another version is.
pub(super) fn forbid_storing(fields: &mut Fields) {
    fields.remove_where(|name, text| {
        matches!(name, Name::CacheControl | Name::CdnCacheControl | Name::SurrogateControl)
            || text.eq_ignore_ascii_case(b"expires")
            || text.eq_ignore_ascii_case(b"pragma")
    });
    fields.append(Name::CacheControl, &[b"no-store"]);
}

fn is_page(fields: &Fields) -> bool {
    let media = fields.first(Name::ContentType).unwrap_or_default();
    let media = media.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    media.eq_ignore_ascii_case(b"text/html") || media.eq_ignore_ascii_case(b"application/xhtml+xml")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::h1::head::HeadLimits;

    fn answer(status: u16, content_type: &str) -> AnswerHead {
        let text = format!("HTTP/1.1 {status} x\r\nContent-Type: {content_type}\r\n\r\n");
        let mut answer = AnswerHead::default();
        let limits = HeadLimits { line: 100, fields: 100, count: 1 };
        assert_eq!(answer.parse(text.as_bytes(), &limits), Ok(Some(text.len())));
        answer
    }

    #[test]
    fn a_page_in_place_of_a_file_is_a_miss() {
        let is_miss = |path: &str, status, media| is_miss(path.as_bytes(), &answer(status, media));
        assert!(is_miss("/a.js", 404, "text/plain") && is_miss("/a", 410, "text/html"));
        assert!(is_miss("/a.js", 200, "text/html; charset=utf-8") && is_miss("/a.CSS", 203, "Text/HTML"));
        assert!(!is_miss("/a.html", 200, "text/html") && !is_miss("/a", 200, "text/html"));
        assert!(!is_miss("/a.js", 200, "text/htmlx") && !is_miss("/a.js", 503, "text/html"));
        assert!(!is_miss("/a.js", 302, "text/html") && !is_miss("/a.js", 200, "text/javascript"));
    }

    #[test]
    fn only_the_file_itself_is_a_hit() {
        let is_hit = |status, media| is_hit(b"/a.js", &answer(status, media));
        assert!([200, 206, 304, 412, 416].iter().all(|&status| is_hit(status, "text/javascript")));
        assert!(
            [301, 302, 401, 403, 404, 410, 429, 500, 503]
                .iter()
                .all(|&status| !is_hit(status, "text/javascript"))
        );
        assert!(!is_hit(200, "text/html"));
    }

    #[test]
    fn a_miss_is_stored_by_nobody() {
        let told = [
            ("cache-control", "public, max-age=9"),
            ("expires", "0"),
            ("cdn-cache-control", "max-age=9"),
            ("etag", "\"1\""),
        ];
        let mut fields = Fields::from_iter(told);
        forbid_storing(&mut fields);
        assert_eq!(fields, Fields::from_iter([("etag", "\"1\""), ("cache-control", "no-store")]));
    }
}
