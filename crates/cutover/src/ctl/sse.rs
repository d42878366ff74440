//! Server-sent events (WHATWG HTML, section 9.2), as much as the admin API uses.

use bytes::Bytes;

/// The longest event that is read: more than any the server sends, less than what would fill the memory.
const EVENT_BYTES_MAX: usize = 1 << 20;

/// One event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Event {
    /// Its id, by which a stream is resumed.
    pub(crate) id: Option<String>,
    /// Its kind.
    pub(crate) kind: Option<String>,
    /// Its text.
    pub(crate) data: String,
}

/// Cuts a stream of bytes into events.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    pending: Vec<u8>,
}

/// An event that is longer than any event of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event is longer than 1 MiB")]
pub(crate) struct TooLong;

impl Parser {
    /// Takes bytes and gives the events that are complete.
    ///
    /// # Errors
    /// An event without an end.
    pub(crate) fn push(&mut self, bytes: &Bytes) -> Result<Vec<Event>, TooLong> {
        // Carriage returns are optional before every line feed, and have no other meaning to us.
        self.pending.extend(bytes.iter().filter(|&&byte| byte != b'\r'));
        let mut events = Vec::new();
        while let Some(end) = self.pending.windows(2).position(|pair| pair == b"\n\n") {
            let block: Vec<u8> = self.pending.drain(..end + 2).collect();
            events.extend(event(&String::from_utf8_lossy(&block)));
        }
        if self.pending.len() > EVENT_BYTES_MAX { Err(TooLong) } else { Ok(events) }
    }
}

/// The event of one block; `None` for comments and for blocks without data.
fn event(block: &str) -> Option<Event> {
    let (mut event, mut lines) = (Event::default(), Vec::new());
    for line in block.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => event.id = Some(value.to_owned()),
            "event" => event.kind = Some(value.to_owned()),
            "data" => lines.push(value),
            _ => {}
        }
    }
    event.data = lines.join("\n");
    (!lines.is_empty()).then_some(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(chunks: &[&'static str]) -> Vec<Event> {
        let mut parser = Parser::default();
        chunks.iter().flat_map(|chunk| parser.push(&Bytes::from_static(chunk.as_bytes())).unwrap()).collect()
    }

    #[test]
    fn events_are_cut_from_any_chunks() {
        let flip = Event { id: Some("7".into()), kind: Some("flip".into()), data: "{}".into() };
        assert_eq!(events(&["id: 7\nevent: flip\ndata: {}\n\n"]), std::slice::from_ref(&flip));
        assert_eq!(events(&[": ping\n\nid:7\r\nev", "ent: flip\r\nda", "ta: {}\r\n\r", "\nid: 8\n"]), [flip]);
        assert_eq!(events(&["data: a\ndata: b\n\n"])[0].data, "a\nb");
    }

    #[test]
    fn an_event_without_an_end_is_given_up() {
        let mut parser = Parser::default();
        assert_eq!(parser.push(&Bytes::from(vec![b'x'; EVENT_BYTES_MAX + 1])), Err(TooLong));
    }
}
