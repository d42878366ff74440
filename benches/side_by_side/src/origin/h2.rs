//! The application over HTTP/2, which proxies speak with it for gRPC: every request with a body is a unary call.

use crate::client::MESSAGE;
use crate::frame::{self, ACK, Block, END_HEADERS, END_STREAM, Field, Frame, Kind, PREFACE, WINDOW};

/// `:status: 200` of the static table (RFC 7541 appendix A).
const OK: Field<'_> = Field::Static(8);
const VERSION: Field<'_> = Field::New("x-app-version", "v1");

/// One connection, behind its preface.
#[derive(Debug)]
pub(super) struct Connection {
    input: Vec<u8>,
    head: Block,
    trailers: Block,
    has_answered: bool,
    has_table: bool,
    /// How much of bodies the proxy takes.
    window: i64,
}

/// The proxy sent what no proxy here sends.
#[derive(Debug)]
pub(super) struct Broken;

impl Connection {
    /// Takes over a connection whose first bytes are the preface, and greets.
    pub(super) fn begin(received: &[u8], output: &mut Vec<u8>) -> Self {
        frame::put_greeting(output);
        let [head, trailers] = frame::blocks([
            &[OK, Field::New("content-type", "application/grpc"), VERSION],
            &[Field::New("grpc-status", "0"), Field::New("grpc-message", "")],
        ]);
        let input = received.get(PREFACE.len()..).unwrap_or_default().to_vec();
        Self { input, head, trailers, has_answered: false, has_table: true, window: WINDOW }
    }

    /// Takes what has arrived, and appends to `output` what there is to say.
    pub(super) fn receive(&mut self, bytes: &[u8], output: &mut Vec<u8>) -> Result<(), Broken> {
        self.input.extend_from_slice(bytes);
        let input = std::mem::take(&mut self.input);
        let mut read = 0;
        while let Some((frame, length)) = Frame::first(&input[read..]) {
            read += length;
            match frame.kind {
                Kind::Data | Kind::Headers if frame.ends_stream() => {
                    self.answer(frame.stream, frame.kind == Kind::Data, output);
                }
                Kind::Settings | Kind::Ping if frame.flags & ACK == 0 => {
                    self.has_table &= frame.kind != Kind::Settings || !frame.forbids_table();
                    let echo = if frame.kind == Kind::Ping { frame.payload } else { &[] };
                    frame::put(output, frame.kind, ACK, 0, echo);
                }
                Kind::WindowUpdate if frame.stream == 0 => self.window += frame.increment(),
                Kind::GoAway => return Err(Broken),
                Kind::Data
                | Kind::Headers
                | Kind::Reset
                | Kind::Settings
                | Kind::Ping
                | Kind::WindowUpdate
                | Kind::Other => {}
            }
        }
        self.input = input;
        self.input.drain(..read);
        if self.window < 0 { Err(Broken) } else { Ok(()) }
    }

    fn answer(&mut self, stream: u32, is_call: bool, output: &mut Vec<u8>) {
        if !is_call {
            // A health check. It says which version runs, and leaves the table alone, whatever comes first.
            let [health] = frame::blocks([&[OK, VERSION]]);
            return frame::put(output, Kind::Headers, END_HEADERS | END_STREAM, stream, &health.plain);
        }
        let Self { head, trailers, has_answered, has_table, .. } = self;
        let of = |block: &Block| match (*has_table, *has_answered) {
            (true, true) => block.again.clone(),
            (true, false) => block.first.clone(),
            (false, _) => block.plain.clone(),
        };
        let mut head = of(head);
        if !*has_table && !*has_answered {
            // The table has its new size, which is none (RFC 7541 section 4.2).
            head.insert(0, 0x20);
        }
        frame::put(output, Kind::Headers, END_HEADERS, stream, &head);
        frame::put(output, Kind::Data, 0, stream, MESSAGE);
        frame::put(output, Kind::Headers, END_HEADERS | END_STREAM, stream, &of(trailers));
        self.window -= MESSAGE.len() as i64;
        self.has_answered = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kinds and payloads of what is said to a call on `stream`.
    fn called(connection: &mut Connection, stream: u32) -> Vec<(Kind, Vec<u8>)> {
        let (mut input, mut output) = (Vec::new(), Vec::new());
        frame::put(&mut input, Kind::Headers, END_HEADERS, stream, b"");
        frame::put(&mut input, Kind::Data, END_STREAM, stream, MESSAGE);
        connection.receive(&input, &mut output).unwrap();
        let (mut said, mut rest) = (Vec::new(), &output[..]);
        while let Some((frame, length)) = Frame::first(rest) {
            assert_eq!(frame.stream, stream);
            said.push((frame.kind, frame.payload.to_vec()));
            rest = &rest[length..];
        }
        said
    }

    #[test]
    fn a_call_is_answered_with_a_message_and_trailers() {
        let mut connection = Connection::begin(PREFACE, &mut Vec::new());
        let kinds: Vec<Kind> = called(&mut connection, 1).into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(kinds, [Kind::Headers, Kind::Data, Kind::Headers]);
        assert_eq!(called(&mut connection, 3)[0].1, [0x88, 62 + 0x80 + 3, 62 + 0x80 + 2]);
    }

    #[test]
    fn a_peer_without_a_table_is_told_every_field_every_time() {
        let mut connection = Connection::begin(PREFACE, &mut Vec::new());
        let mut input = Vec::new();
        frame::put(&mut input, Kind::Settings, 0, 0, &[0, 1, 0, 0, 0, 0]);
        connection.receive(&input, &mut Vec::new()).unwrap();
        let first = called(&mut connection, 1)[0].1.clone();
        let again = called(&mut connection, 3)[0].1.clone();
        assert_eq!(first[..2], [0x20, 0x88]);
        assert_eq!(first[1..], again);
    }
}
