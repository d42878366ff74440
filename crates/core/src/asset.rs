//! Which paths are assets: files that pages load by name, and that some version of the app has as long as pages of it are open.

use std::fmt;

/// Bytes of a pattern.
const LEN_MAX: usize = 1024;

/// A pattern of paths such as `/assets/**`: `*` stands for any part of one segment, `**` for any number of segments, and for at least one at
/// the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetPattern {
    text: String,
    segments: Vec<Segment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    /// One segment, with `*` in it for any bytes.
    One(String),
    /// `**`
    Any,
}

/// Why a string is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AssetPatternError {
    /// It is relative, empty, too long, or has a byte that no path has.
    #[error("{0:?} is no pattern of paths; it must begin with '/' and have no '?', '#', '\\' or space")]
    NoPath(String),
    /// `//`, `.` or `..`, which servers read in different ways.
    #[error("{0:?} has an empty segment, \".\" or \"..\", and such paths never match; take it out")]
    Segment(String),
    /// A `%` that is not two digits behind it, or `%2F`, `%5C`, `%25`, `%00` and so on.
    #[error(
        "{0:?} has an escape that could hide a slash or another escape, and such paths never match; take it out"
    )]
    Escape(String),
    /// `**` beside something else.
    #[error(
        "{0:?} has \"**\" beside something else; it stands for whole segments, as in \"/assets/**/*.js\""
    )]
    Stars(String),
}

impl AssetPattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// [`AssetPatternError`].
    pub fn parse(text: &str) -> Result<Self, AssetPatternError> {
        let fail = |error: fn(String) -> AssetPatternError| Err(error(text.to_owned()));
        let is_uri = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'\\');
        let Some(rest) = text.strip_prefix('/').filter(|rest| !rest.is_empty()) else {
            return fail(AssetPatternError::NoPath);
        };
        if text.len() > LEN_MAX || !text.bytes().all(is_uri) {
            return fail(AssetPatternError::NoPath);
        }
        let mut segments = Vec::new();
        for segment in rest.split('/') {
            match Kind::of(segment.as_bytes()) {
                Kind::Plain if segment == "**" => segments.push(Segment::Any),
                Kind::Plain if segment.contains("**") => return fail(AssetPatternError::Stars),
                Kind::Plain => segments.push(Segment::One(segment.to_owned())),
                Kind::Dots => return fail(AssetPatternError::Segment),
                Kind::Hidden => return fail(AssetPatternError::Escape),
            }
        }
        Ok(Self { text: text.to_owned(), segments })
    }

    /// The pattern as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it stands for `path`, compared byte for byte as the client sent it.
    ///
    /// A path that some server may read as another one is no asset: one with an empty segment, with `.` or `..` in any disguise, or with an
    /// escape for a slash, a backslash, a percent sign or a control character. It can't be matched by its escapes either: `%61` is no `a`.
    #[must_use]
    pub fn matches(&self, path: &[u8]) -> bool {
        let Some(rest) = path.strip_prefix(b"/") else { return false };
        rest.split(|&byte| byte == b'/').all(|segment| Kind::of(segment) == Kind::Plain)
            && matches(&self.segments, rest)
    }
}

impl fmt::Display for AssetPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Somebody dropped assets that were kept. Not stored: what is told of it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetDrop {
    /// How many such drops there were, so that each is told.
    pub nth: u64,
    /// The path of those that went, or path and query; all, if none was given.
    pub target: Option<String>,
}

/// Whether the name of a file, which is the end of `path`, ends as those of files do that are no pages: an answer of HTML to it is not the
/// file. Apps with one page for all paths answer so for files that they don't have.
#[must_use]
pub fn is_no_page(path: &[u8]) -> bool {
    const EXTENSIONS: [&str; 48] = [
        "aac",
        "apng",
        "avif",
        "bin",
        "bmp",
        "br",
        "cjs",
        "css",
        "csv",
        "data",
        "eot",
        "flac",
        "gif",
        "glb",
        "gltf",
        "gz",
        "ico",
        "jpeg",
        "jpg",
        "js",
        "json",
        "jsonld",
        "jxl",
        "m4a",
        "m4v",
        "map",
        "mjs",
        "mov",
        "mp3",
        "mp4",
        "ogg",
        "ogv",
        "opus",
        "otf",
        "pdf",
        "png",
        "svg",
        "ttf",
        "txt",
        "wasm",
        "wav",
        "weba",
        "webm",
        "webmanifest",
        "webp",
        "woff",
        "woff2",
        "zst",
    ];
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    let Some(dot) = name.iter().rposition(|&byte| byte == b'.') else { return false };
    let extension = &name[dot + 1..];
    EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known.as_bytes()))
}

/// What a segment may mean to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A name.
    Plain,
    /// Nothing, this directory, or the one above.
    Dots,
    /// More than one segment, or what nobody can tell.
    Hidden,
}

impl Kind {
    fn of(segment: &[u8]) -> Self {
        let mut rest = segment;
        let mut has_name = false;
        // Some servers cut parameters off before they look at what is left: `..;x` is `..` to them.
        let mut is_parameter = false;
        while let Some((&first, behind)) = rest.split_first() {
            rest = behind;
            let byte = match (first, behind) {
                (b'%', [high, low, behind @ ..]) => {
                    rest = behind;
                    match (hex(*high), hex(*low)) {
                        (Some(high), Some(low)) => high << 4 | low,
                        _ => return Self::Hidden,
                    }
                }
                (b'%', _) => return Self::Hidden,
                _ => first,
            };
            match byte {
                b'/' | b'\\' | b'%' | 0..=b' ' | 0x7f => return Self::Hidden,
                b';' => is_parameter = true,
                b'.' => {}
                _ => has_name |= !is_parameter,
            }
        }
        if has_name { Self::Plain } else { Self::Dots }
    }
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Whether the segments of `path` fit. Only the last `**` is ever tried again with one segment more, which is enough, so that the time is at
/// most the product of both lengths.
fn matches(pattern: &[Segment], path: &[u8]) -> bool {
    let (mut pattern, mut path) = (pattern, Some(path));
    let mut again: Option<(&[Segment], &[u8])> = None;
    loop {
        match (pattern.split_first(), path) {
            (None, None) => return true,
            (Some((Segment::Any, [])), left) => return left.is_some(),
            (Some((Segment::Any, behind)), Some(left)) => {
                (pattern, again) = (behind, Some((behind, left)));
                continue;
            }
            (Some((Segment::One(one), behind)), Some(left)) => {
                let (segment, rest) = split(left);
                if fits(one.as_bytes(), segment) {
                    (pattern, path) = (behind, rest);
                    continue;
                }
            }
            (None, Some(_)) | (Some(_), None) => {}
        }
        let Some((behind, left)) = again else { return false };
        let Some(rest) = split(left).1 else { return false };
        (pattern, path, again) = (behind, Some(rest), Some((behind, rest)));
    }
}

/// The first segment, and what is behind its slash.
fn split(path: &[u8]) -> (&[u8], Option<&[u8]>) {
    match path.iter().position(|&byte| byte == b'/') {
        Some(at) => (&path[..at], Some(&path[at + 1..])),
        None => (path, None),
    }
}

/// Whether a segment fits one with `*` in it, in the same way.
fn fits(pattern: &[u8], segment: &[u8]) -> bool {
    let (mut at, mut from) = (0, 0);
    let mut again: Option<(usize, usize)> = None;
    loop {
        match (pattern.get(at), segment.get(from)) {
            (None, None) => return true,
            (Some(b'*'), _) => {
                at += 1;
                again = Some((at, from));
                continue;
            }
            (Some(wanted), Some(found)) if wanted == found => {
                (at, from) = (at + 1, from + 1);
                continue;
            }
            _ => {}
        }
        let Some((behind, start)) = again else { return false };
        if start == segment.len() {
            return false;
        }
        (at, from, again) = (behind, start + 1, Some((behind, start + 1)));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_asset(pattern: &str, path: &str) -> bool {
        AssetPattern::parse(pattern).unwrap().matches(path.as_bytes())
    }

    #[test]
    fn two_stars_are_any_rest() {
        assert!(is_asset("/assets/**", "/assets/app.js") && is_asset("/assets/**", "/assets/a/b/c.css"));
        for other in
            ["/assets", "/assets/", "/assetsx/a.js", "/x/assets/a.js", "/", "", "assets/a.js", "/ASSETS/a"]
        {
            assert!(!is_asset("/assets/**", other), "{other}");
        }
        assert!(is_asset("/a/**/*.js", "/a/x.js") && is_asset("/a/**/*.js", "/a/b/c/x.js"));
        assert!(!is_asset("/a/**/*.js", "/a/b/x.css") && !is_asset("/a/**/*.js", "/b/x.js"));
        assert!(is_asset("/**/static/**/*.js", "/x/static/y/static/z.js"));
    }

    #[test]
    fn one_star_is_a_part_of_one_segment() {
        assert!(
            is_asset("/*/app-*.js", "/web/app-1f.js")
                && is_asset("/*.js", "/.js")
                && is_asset("/a*b*c", "/abbc")
        );
        assert!(
            !is_asset("/*/app.js", "/a/b/app.js") && !is_asset("/*", "/a/b") && !is_asset("/a*b", "/acbc")
        );
    }

    #[test]
    fn a_path_that_can_be_read_in_two_ways_is_no_asset() {
        for hostile in [
            "/assets/../admin.js",
            "/assets/./a.js",
            "/assets//a.js",
            "/assets/%2e%2e/a.js",
            "/assets/.%2E/a.js",
            "/assets/..%2fadmin.js",
            "/assets/a%2Fb.js",
            "/assets/..%5cadmin.js",
            "/assets/..\\admin.js",
            "/assets/%00.js",
            "/assets/a%0d%0a.js",
            "/assets/%252e%252e/a.js",
            "/assets/%zz.js",
            "/assets/a%2",
            "/assets/..;/admin.js",
            "/assets/..;a=b/admin.js",
            "/assets/%2e%2e%3b/a.js",
            "/assets/;x/a.js",
            "/assets/%20",
            "/%61ssets/a.js",
        ] {
            assert!(!is_asset("/assets/**", hostile), "{hostile}");
        }
        for plain in [
            "/assets/%5Bslug%5D/page.js",
            "/assets/caf%C3%A9.js",
            "/assets/a;v=1",
            "/assets/..a",
            "/assets/.env",
        ] {
            assert!(is_asset("/assets/**", plain), "{plain}");
        }
    }

    #[test]
    fn what_could_never_match_is_refused() {
        let error = |text: &str| AssetPattern::parse(text).unwrap_err();
        for text in [
            "",
            "/",
            "assets/**",
            "/a b",
            "/a?b",
            "/a#b",
            "/a\\b",
            "/ä",
            &format!("/{}", "a".repeat(LEN_MAX)),
        ] {
            assert!(matches!(error(text), AssetPatternError::NoPath(_)), "{text}");
        }
        for text in ["/a//b", "/a/", "/a/../b", "/./b", "/%2e%2e/a", "/..;/a"] {
            assert!(matches!(error(text), AssetPatternError::Segment(_)), "{text}");
        }
        for text in ["/a%2fb", "/a%", "/a%5cb", "/%25"] {
            assert!(matches!(error(text), AssetPatternError::Escape(_)), "{text}");
        }
        for text in ["/a**", "/***", "/a/**.js"] {
            assert!(matches!(error(text), AssetPatternError::Stars(_)), "{text}");
        }
    }

    #[test]
    fn a_name_says_that_it_is_no_page() {
        assert!(is_no_page(b"/a/app.JS") && is_no_page(b"/x.y.woff2") && is_no_page(b"/.map"));
        for page in [&b"/"[..], b"/a", b"/a.html", b"/a.js/b", b"/js", b"/a.", b"/a.php", b"/v1.2"] {
            assert!(!is_no_page(page), "{page:?}");
        }
    }

    /// The obvious way, which takes exponential time.
    fn by_trying(pattern: &[&str], path: &[&str]) -> bool {
        match pattern.split_first() {
            None => path.is_empty(),
            Some((&"**", [])) => !path.is_empty(),
            Some((&"**", rest)) => (0..=path.len()).any(|skipped| by_trying(rest, &path[skipped..])),
            Some((one, rest)) => path.split_first().is_some_and(|(first, left)| {
                fits_by_trying(one.as_bytes(), first.as_bytes()) && by_trying(rest, left)
            }),
        }
    }

    fn fits_by_trying(pattern: &[u8], segment: &[u8]) -> bool {
        match pattern.split_first() {
            None => segment.is_empty(),
            Some((b'*', rest)) => {
                (0..=segment.len()).any(|skipped| fits_by_trying(rest, &segment[skipped..]))
            }
            Some((wanted, rest)) => segment
                .split_first()
                .is_some_and(|(found, left)| found == wanted && fits_by_trying(rest, left)),
        }
    }

    proptest! {
        #[test]
        fn it_matches_what_trying_everything_matches(
            pattern in prop::collection::vec(prop_oneof![Just("**".to_owned()), "[ab*]{1,4}".prop_filter("stars", |one| !one.contains("**"))], 1..5),
            path in prop::collection::vec("[ab]{1,4}", 1..6),
        ) {
            let parsed = AssetPattern::parse(&format!("/{}", pattern.join("/"))).unwrap();
            let pattern: Vec<_> = pattern.iter().map(String::as_str).collect();
            let segments: Vec<_> = path.iter().map(String::as_str).collect();
            prop_assert_eq!(parsed.matches(format!("/{}", path.join("/")).as_bytes()), by_trying(&pattern, &segments));
        }

        #[test]
        fn no_bytes_make_it_panic(path in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = (is_asset("/**/*a*/**", "/x"), AssetPattern::parse("/**/*a*/**").unwrap().matches(&path), is_no_page(&path));
        }
    }
}
