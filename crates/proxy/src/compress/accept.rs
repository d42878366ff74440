//! In which coding a client wants its answers: by `Accept-Encoding` (RFC 9110 section 12.5.3).

use super::Coding;
use crate::message::fields::Fields;
use crate::message::name::Name;
use crate::message::negotiate::weight;

/// All that there are, the best first: of those that a client likes equally, it gets the first one.
const CODINGS: [Coding; 3] = [Coding::Zstd, Coding::Brotli, Coding::Gzip];

/// The coding that the client likes best. `None` where it says nothing, as those do that know none, and where it would rather have the
/// answer as it is.
pub(crate) fn wanted(fields: &Fields) -> Option<Coding> {
    let of = |names: &[&[u8]]| {
        let mut listed = fields.elements(Name::AcceptEncoding).map(weight);
        listed.find(|(name, _)| names.iter().any(|other| name.eq_ignore_ascii_case(other))).map(|(_, q)| q)
    };
    if !fields.contains(Name::AcceptEncoding) {
        return None;
    }
    let any = of(&[b"*"]);
    let mut best = None;
    for coding in CODINGS {
        let q = match coding {
            Coding::Gzip => of(&[b"gzip", b"x-gzip"]),
            other => of(&[other.as_str().as_bytes()]),
        };
        let q = q.or(any).unwrap_or(0);
        if q > best.map_or(0, |(q, _)| q) {
            best = Some((q, coding));
        }
    }
    let as_it_is = of(&[b"identity"]).unwrap_or(0);
    best.filter(|(q, _)| *q >= as_it_is).map(|(_, coding)| coding)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wanted_by(accept: &str) -> Option<Coding> {
        wanted(&Fields::from_iter([("accept-encoding", accept)]))
    }

    #[test]
    fn the_client_chooses() {
        let cases = [
            ("gzip, deflate, br, zstd", Some(Coding::Zstd)),
            ("gzip, deflate, br", Some(Coding::Brotli)),
            ("gzip, deflate", Some(Coding::Gzip)),
            ("x-gzip", Some(Coding::Gzip)),
            ("GZIP", Some(Coding::Gzip)),
            ("gzip;q=1.0, br;q=0.9, zstd;q=0.8", Some(Coding::Gzip)),
            ("zstd;q=0, *;q=0.5", Some(Coding::Brotli)),
            ("*", Some(Coding::Zstd)),
            ("identity;q=0, *;q=0.1", Some(Coding::Zstd)),
            ("gzip;q=0.5, identity;q=0.5", Some(Coding::Gzip)),
            ("gzip;q=0.5, identity", None),
            ("identity", None),
            ("identity;q=0", None),
            ("*;q=0", None),
            ("gzip;q=0, br;q=0.000", None),
            ("gzip;q=x", None),
            ("gzip;q=2", None),
            ("deflate", None),
            ("", None),
        ];
        for (accept, coding) in cases {
            assert_eq!(wanted_by(accept), coding, "{accept}");
        }
        assert_eq!(wanted(&Fields::default()), None);
    }

    #[test]
    fn several_lines_are_one_list() {
        let fields = Fields::from_iter([("accept-encoding", "deflate"), ("accept-encoding", "br")]);
        assert_eq!(wanted(&fields), Some(Coding::Brotli));
    }

    proptest! {
        #[test]
        fn no_line_can_panic(line: Vec<u8>) {
            let _ = wanted(&Fields::from_iter([("accept-encoding", &line)]));
        }
    }
}
