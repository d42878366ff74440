//! WebSocket, as far as a tunnel has to know it: where frames end (RFC 6455 section 5.2), and how to say goodbye between them.
//!
//! A reader that begins in the middle of a stream can't tell a header from payload, so frames are walked from the first byte on: a few
//! instructions for every header, and payload is skipped by its length. Masks and extensions change nothing about where a frame ends.

use cutover_core::entropy::Entropy;

/// A close frame, by its first byte (RFC 6455 section 5.5.1): final, opcode 8.
const CLOSE: u8 = 0x88;
/// Service restart, as IANA's registry of close codes has it: the other side is to connect again.
const RESTART: [u8; 2] = 1012_u16.to_be_bytes();

/// Where in a stream of frames one direction of a tunnel is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Walker {
    at: At,
    is_closed: bool,
}

/// What comes next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum At {
    /// A frame.
    #[default]
    Frame,
    /// The byte with the mask bit and the length.
    Length,
    /// So many bytes of a length that did not fit into that.
    LongLength { left: u8, so_far: u64, is_masked: bool },
    /// So many bytes of the mask and the payload.
    Rest(u64),
}

impl Walker {
    /// Walks over `bytes`, to the end of the current frame at most if `stops_between` frames. Answers how many bytes that are.
    pub(crate) fn walk(&mut self, bytes: &[u8], stops_between: bool) -> usize {
        let mut walked = 0;
        while walked < bytes.len() && !(stops_between && self.is_between()) {
            let here = &bytes[walked..];
            walked += match self.at {
                At::Rest(left) => {
                    let count = usize::try_from(left).unwrap_or(usize::MAX).min(here.len());
                    self.at = rest(left - count as u64);
                    count
                }
                _ => {
                    self.header(here[0]);
                    1
                }
            };
        }
        walked
    }

    /// Whether the last frame is over and no other has begun: the only place where another one may be put in. Between the fragments
    /// of a message is such a place too (RFC 6455 section 5.4).
    pub(crate) fn is_between(&self) -> bool {
        self.at == At::Frame
    }

    /// Whether a close frame has begun, after which nothing is to come (RFC 6455 section 5.5.1).
    pub(crate) const fn is_closed(&self) -> bool {
        self.is_closed
    }

    fn header(&mut self, byte: u8) {
        self.at = match self.at {
            At::Frame => {
                // Reserved bits are an extension's business.
                self.is_closed |= byte & 0x0f == CLOSE & 0x0f;
                At::Length
            }
            At::Length => {
                let is_masked = byte & 0x80 != 0;
                match byte & 0x7f {
                    126 => At::LongLength { left: 2, so_far: 0, is_masked },
                    127 => At::LongLength { left: 8, so_far: 0, is_masked },
                    length => payload(u64::from(length), is_masked),
                }
            }
            At::LongLength { left, so_far, is_masked } => {
                let so_far = so_far << 8 | u64::from(byte);
                match left {
                    0 | 1 => payload(so_far, is_masked),
                    left => At::LongLength { left: left - 1, so_far, is_masked },
                }
            }
            At::Rest(_) => return,
        };
    }
}

/// The mask, if there is one, and `length` bytes. No length is too large: who announces what never comes is never between frames.
const fn payload(length: u64, is_masked: bool) -> At {
    rest(length.saturating_add(if is_masked { 4 } else { 0 }))
}

const fn rest(left: u64) -> At {
    match left {
        0 => At::Frame,
        left => At::Rest(left),
    }
}

/// What tells a client to connect again: servers don't mask (RFC 6455 section 5.1).
pub(crate) fn restart_for_client() -> Vec<u8> {
    [CLOSE, 2, RESTART[0], RESTART[1]].to_vec()
}

/// What tells a server that its client is gone for a reason of the service: clients mask (RFC 6455 section 5.3).
pub(crate) fn restart_for_backend(entropy: &mut Entropy) -> Vec<u8> {
    let [a, b, c, d, ..] = entropy.word().to_be_bytes();
    [CLOSE, 0x80 | 2, a, b, c, d, RESTART[0] ^ a, RESTART[1] ^ b].to_vec()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fuzzing;

    /// A frame with a payload of `length` bytes, its length written in the form of `form`: 0 = as short as it can be.
    fn frame(start: u8, length: usize, form: u8, mask: Option<[u8; 4]>) -> Vec<u8> {
        let bit = if mask.is_some() { 0x80 } else { 0 };
        let form = match length {
            ..=125 => form,
            126..=0xffff => form.max(1),
            _ => 2,
        };
        let mut bytes = vec![start];
        match form {
            0 => bytes.push(bit | u8::try_from(length).unwrap()),
            1 => bytes.extend([&[bit | 126][..], &u16::try_from(length).unwrap().to_be_bytes()].concat()),
            _ => bytes.extend([&[bit | 127][..], &(length as u64).to_be_bytes()].concat()),
        }
        bytes.extend(mask.iter().flatten());
        // Payload that looks like close frames must not be taken for one.
        bytes.extend([0x88, 0x00].iter().cycle().take(length));
        bytes
    }

    fn frames() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let opcode = prop::sample::select(vec![0x00, 0x01, 0x02, 0x80, 0x81, 0xc2, 0x89, 0x8a]);
        let length = prop_oneof![0..130_usize, 65_530..65_540_usize];
        let one = (opcode, length, 0..3_u8, prop::option::of(any::<[u8; 4]>()));
        prop::collection::vec(
            one.prop_map(|(opcode, length, form, mask)| frame(opcode, length, form, mask)),
            1..8,
        )
    }

    proptest! {
        #[test]
        fn frames_end_where_they_end_however_the_stream_is_split(
            frames in frames(),
            cuts in prop::collection::vec(1..5000_usize, 1..20),
        ) {
            let mut expected = Vec::new();
            let mut stream = Vec::new();
            for frame in frames {
                stream.extend(frame);
                expected.push(stream.len());
            }
            prop_assert_eq!(fuzzing::websocket_frames(&stream, &cuts), (expected, false));
        }

        #[test]
        fn walking_on_is_the_same_in_one_piece_and_byte_by_byte(stream in any::<Vec<u8>>()) {
            let (mut whole, mut bytewise) = (Walker::default(), Walker::default());
            prop_assert_eq!(whole.walk(&stream, false), stream.len());
            for byte in &stream {
                prop_assert_eq!(bytewise.walk(std::slice::from_ref(byte), false), 1);
            }
            prop_assert_eq!(whole, bytewise);
        }
    }

    #[test]
    fn a_close_frame_is_noticed_by_its_first_byte() {
        let mut walker = Walker::default();
        walker.walk(&[frame(0x81, 3, 0, None), vec![0x88]].concat(), false);
        assert!(walker.is_closed() && !walker.is_between());
    }

    #[test]
    fn what_is_said_is_one_close_frame_with_code_1012() {
        let mut entropy = Entropy::new(5);
        let masked = restart_for_backend(&mut entropy);
        let unmasked: Vec<u8> =
            masked[6..].iter().zip(&masked[2..6]).map(|(byte, mask)| byte ^ mask).collect();
        assert_eq!((masked[..2].to_vec(), unmasked), (vec![0x88, 0x82], vec![0x03, 0xf4]));
        assert_eq!(restart_for_client(), [0x88, 0x02, 0x03, 0xf4]);
        for said in [masked, restart_for_client()] {
            let mut walker = Walker::default();
            walker.walk(&said, false);
            assert!(walker.is_closed() && walker.is_between());
        }
    }

    #[test]
    fn a_length_beyond_all_bounds_is_a_frame_that_does_not_end() {
        let mut walker = Walker::default();
        walker.walk(&[0x82, 0xff, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0, 0], false);
        assert!(!walker.is_between());
    }
}
