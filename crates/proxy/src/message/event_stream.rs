//! Server-sent events (`text/event-stream`, HTML Living Standard section 9.2): where an event ends.
//!
//! A client that wants such a stream for ever connects again by itself when it ends, so between two events it may be ended as if it
//! were complete. A stream of any other kind can't: its end would pass for the end of what was sent. That goes for events too when they
//! are the answer to something that was done, as apps send one piece by piece. Those run on until they are over, or their app ends them;
//! breaking them off would only do earlier, and to more of them, what the end of the old processes does.

use http::{Method, StatusCode};

use crate::h1::head::{AnswerHead, RequestHead};
use crate::message::list;
use crate::message::name::Name;

/// Where in a stream of events one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Events {
    /// Whether the current line has something in it.
    is_in_line: bool,
    /// Whether the last byte was a carriage return, to which a line feed may belong.
    is_after_cr: bool,
    is_between: bool,
}

impl Default for Events {
    fn default() -> Self {
        Self { is_in_line: false, is_after_cr: false, is_between: true }
    }
}

impl Events {
    /// Walks over `bytes`, to the end of the current event at most if `stops_between` events. Answers how many bytes that are.
    pub(crate) fn walk(&mut self, bytes: &[u8], stops_between: bool) -> usize {
        let mut walked = 0;
        while let Some(&byte) = bytes.get(walked) {
            let ends_line = byte == b'\n' && self.is_after_cr;
            if stops_between && self.is_between && !ends_line {
                break;
            }
            walked += 1;
            match byte {
                // The second half of the end of a line that is over.
                b'\n' if self.is_after_cr => {}
                b'\n' | b'\r' => {
                    self.is_between = !self.is_in_line;
                    self.is_in_line = false;
                }
                _ => (self.is_in_line, self.is_between) = (true, false),
            }
            self.is_after_cr = byte == b'\r';
        }
        walked
    }

    /// Whether the last event was ended by its blank line, and no other has begun.
    pub(crate) const fn is_between(&self) -> bool {
        self.is_between
    }
}

/// Whether an answer is a stream of events whose client connects again, and that can be read: not in a coding. Such a client asks for it
/// by GET and by its type (HTML Living Standard section 9.2.2).
pub(crate) fn is_event_stream(asked: &RequestHead, answer: &AnswerHead) -> bool {
    let is_events =
        |value: &[u8]| list::pair(value, b';').0.trim_ascii().eq_ignore_ascii_case(b"text/event-stream");
    answer.status == StatusCode::OK
        && answer.fields.first(Name::ContentType).is_some_and(is_events)
        && answer
            .fields
            .named("content-encoding")
            .is_none_or(|coding| coding.eq_ignore_ascii_case(b"identity"))
        && asked.method == Method::GET
        && asked.fields.lists(Name::Accept, is_events)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Where `text` may be ended, `bytes` at a time.
    fn ends(text: &str, bytes: usize) -> Vec<usize> {
        let (mut events, mut found, mut at) = (Events::default(), Vec::new(), 0);
        for piece in text.as_bytes().chunks(bytes) {
            let mut rest = piece;
            while let [first, ..] = rest {
                // Into the next event, then to its end.
                let mut walked = events.walk(std::slice::from_ref(first), false);
                walked += events.walk(&rest[walked..], true);
                (at, rest) = (at + walked, &rest[walked..]);
                if events.is_between() {
                    found.retain(|end| *end != at);
                    found.push(at);
                }
            }
        }
        found
    }

    #[test]
    fn an_event_ends_with_a_blank_line_of_any_kind() {
        assert_eq!(ends("data: 1\n\ndata: 2\n", 100), [9]);
        assert_eq!(ends("data: 1\r\n\r\nid: 5\r\ndata: 2\r\n\r\n", 100), [11, 29]);
        assert_eq!(ends("data: 1\r\rdata: 2\r\n\n", 100), [9, 19]);
    }

    #[test]
    fn a_stream_that_has_not_begun_can_end() {
        assert!(Events::default().is_between());
        assert_eq!(Events::default().walk(b"data", true), 0);
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_the_stream_is_split(text in "(a|:|\n|\r|\r\n|\n\n|\r\n\r\n){0,40}", bytes in 1..9_usize) {
            let mut whole = Events::default();
            whole.walk(text.as_bytes(), false);
            let mut split = Events::default();
            text.as_bytes().chunks(bytes).for_each(|piece| {
                split.walk(piece, false);
            });
            prop_assert_eq!(whole, split);
        }
    }
}
