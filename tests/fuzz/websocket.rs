//! WebSocket frames: how the bytes are split changes nothing, and a reader that knows the whole stream finds the same ends.
#![no_main]

use cutover_fuzz::split;
use cutover_proxy::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (cuts, input) = split::cuts(data);
    let expected = read(input);
    assert_eq!(fuzzing::websocket_frames(input, &[]), expected);
    assert_eq!(fuzzing::websocket_frames(input, &cuts), expected);
    assert_eq!(fuzzing::websocket_frames(input, &[1]), expected);
});

/// Reads frame by frame, as RFC 6455 section 5.2 spells it: where they end, and whether one of them closes.
fn read(input: &[u8]) -> (Vec<usize>, bool) {
    let (mut ends, mut closes, mut at) = (Vec::new(), false, 0);
    while let Some(first) = input.get(at) {
        closes |= first & 0x0f == 8;
        let Some(len) = frame_len(&input[at..]) else { break };
        at = match at.checked_add(len) {
            Some(end) if end <= input.len() => end,
            _ => break,
        };
        ends.push(at);
    }
    (ends, closes)
}

/// Bytes of the frame that begins here; `None` while its header is not whole, or when it has more than memory.
fn frame_len(input: &[u8]) -> Option<usize> {
    let second = *input.get(1)?;
    let (header, payload) = match second & 0x7f {
        126 => (4, u64::from(u16::from_be_bytes(*input.get(2..)?.first_chunk()?))),
        127 => (10, u64::from_be_bytes(*input.get(2..)?.first_chunk()?)),
        short => (2, u64::from(short)),
    };
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    usize::try_from(payload).ok()?.checked_add(header + mask)
}
