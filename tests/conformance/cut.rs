//! How bytes are cut into pieces before they are written. A message means the same whatever the pieces are.

use std::time::Duration;

/// Messages beyond this are not written byte by byte, which would take long and show nothing more.
const EACH_BYTE_MAX: usize = 1024;

/// Messages with more lines are not cut at each of them.
const LINES_MAX: usize = 200;

/// Where the bytes of a message are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Nowhere: one write.
    Whole,
    /// In two, at a place that this number decides.
    Once(u64),
    /// Between CR and LF, and wherever else a CR stands.
    InLineEnds,
    /// Everywhere.
    EachByte,
}

impl Cut {
    /// Every way in which the case called `name` is played; the same ones in every run.
    pub(crate) fn all(name: &str) -> [Self; 6] {
        // FNV-1a.
        let seed = name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let once = |at: u64| Self::Once(seed.rotate_left(21) ^ at.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        [Self::Whole, once(1), once(2), once(3), Self::InLineEnds, Self::EachByte]
    }

    /// The pieces of `bytes`, none of them empty.
    pub(crate) fn pieces(self, bytes: &[u8]) -> Vec<&[u8]> {
        match self {
            Self::EachByte if bytes.len() <= EACH_BYTE_MAX => bytes.chunks(1).collect(),
            Self::Once(seed) if bytes.len() > 1 => {
                let at = 1 + usize::try_from(seed % (bytes.len() as u64 - 1)).unwrap();
                let (first, second) = bytes.split_at(at);
                vec![first, second]
            }
            Self::InLineEnds if bytes.iter().filter(|&&byte| byte == b'\r').count() <= LINES_MAX => {
                bytes.split_inclusive(|&byte| byte == b'\r').collect()
            }
            Self::Whole | Self::Once(_) | Self::InLineEnds | Self::EachByte => vec![bytes],
        }
    }

    /// Time between two pieces.
    pub(crate) fn pause(self) -> Duration {
        match self {
            Self::Whole | Self::Once(_) | Self::InLineEnds => Duration::from_micros(200),
            Self::EachByte => Duration::from_micros(10),
        }
    }
}

#[test]
fn pieces_are_never_empty_and_make_up_the_whole() {
    for bytes in [&b"a"[..], b"ab", b"GET / HTTP/1.1\r\n\r\n", &[b'x'; 2000]] {
        for cut in Cut::all("name") {
            let pieces = cut.pieces(bytes);
            assert!(pieces.iter().all(|piece| !piece.is_empty()), "{cut:?} of {bytes:?}");
            assert_eq!(pieces.concat(), bytes, "{cut:?}");
        }
    }
}
