//! Messages as a plain reader takes them that knows only what a careful sender writes, and panics at anything else: what the engine
//! writes is to be such.

use crate::line_end;

/// Names in lower case and values, in their order.
pub type Fields = Vec<(String, Vec<u8>)>;

/// A request, or an answer without its status.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    pub method: String,
    /// As it is forwarded.
    pub target: String,
    /// Of an absolute-form target.
    pub authority: Option<String>,
    pub fields: Fields,
    pub body: Vec<u8>,
    pub trailers: Fields,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub message: Message,
    /// Whether all of its body is there.
    pub is_whole: bool,
}

/// What is at the front of some bytes.
pub enum Front {
    /// No whole message. The head may be whole, and ask for a `100` before its body.
    Part { expects: bool },
    /// A message of so many bytes.
    Whole(Message, usize),
}

impl Message {
    /// The values of a field.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.fields.iter().filter(move |(found, _)| found == name).map(|(_, value)| &value[..])
    }

    /// The elements of a list, in lower case.
    pub fn elements(&self, name: &str) -> Vec<String> {
        let lines = self.values(name).map(|line| String::from_utf8_lossy(line).to_ascii_lowercase());
        lines
            .flat_map(|line| line.split(',').map(|word| word.trim().to_owned()).collect::<Vec<_>>())
            .collect()
    }
}

/// Reads a request.
pub fn request(input: &[u8]) -> Front {
    let mut lines = [httparse::EMPTY_HEADER; 300];
    let mut head = httparse::Request::new(&mut lines);
    let Ok(parsed) = head.parse(input) else { panic!("no request: {:?}", input.escape_ascii().to_string()) };
    let httparse::Status::Complete(head_len) = parsed else { return Front::Part { expects: false } };
    assert!(!line_end::has_bare_lf(&input[..head_len]) && !input.starts_with(b"\r"));
    assert_eq!(head.version, Some(1));
    let text = |part: Option<&str>| part.unwrap_or_default().to_owned();
    let fields = fields(head.headers);
    let mut message =
        Message { method: text(head.method), target: text(head.path), fields, ..Message::default() };
    match read_body(&mut message, &input[head_len..]) {
        Some(body_len) => Front::Whole(message, head_len + body_len),
        None => Front::Part { expects: message.values("expect").next().is_some() },
    }
}

/// Reads answers, but those before the answer. Each has a body where it says so, but for those to HEAD.
pub fn answers(mut input: &[u8], is_to_head: impl Fn(&[u8]) -> bool) -> Vec<Answer> {
    let mut answers = Vec::new();
    while !input.is_empty() {
        let mut lines = [httparse::EMPTY_HEADER; 300];
        let mut head = httparse::Response::new(&mut lines);
        let Ok(httparse::Status::Complete(head_len)) = head.parse(input) else {
            panic!("no answer: {:?}", input.escape_ascii().to_string())
        };
        assert!(!line_end::has_bare_lf(&input[..head_len]));
        let status = head.code.unwrap_or_default();
        let mut message = Message { fields: fields(head.headers), ..Message::default() };
        input = &input[head_len..];
        let is_bodiless = status < 200 || status == 204 || status == 304 || is_to_head(input);
        let body_len = if is_bodiless { Some(0) } else { read_body(&mut message, input) };
        input = &input[body_len.unwrap_or(input.len())..];
        if status >= 200 {
            answers.push(Answer { status, message, is_whole: body_len.is_some() });
        }
    }
    answers
}

pub fn fields(lines: &[httparse::Header<'_>]) -> Fields {
    lines.iter().map(|line| (line.name.to_ascii_lowercase(), line.value.to_vec())).collect()
}

/// Reads the body of `message` from what stands behind its head, and answers how many bytes it has there.
fn read_body(message: &mut Message, input: &[u8]) -> Option<usize> {
    let lengths: Vec<_> = message.values("content-length").map(<[u8]>::to_vec).collect();
    let codings: Vec<_> = message.values("transfer-encoding").map(<[u8]>::to_vec).collect();
    match (&lengths[..], &codings[..]) {
        ([], []) => Some(0),
        ([length], []) => {
            assert!(!length.is_empty() && length.iter().all(u8::is_ascii_digit));
            let Ok(length) = String::from_utf8_lossy(length).parse() else { panic!("{length:?}") };
            message.body = input.get(..length)?.to_vec();
            Some(length)
        }
        ([], [coding]) if coding == b"chunked" => read_chunks(message, input),
        _ => panic!("two framings: {lengths:?} {codings:?}"),
    }
}

/// Chunks without extensions.
fn read_chunks(message: &mut Message, input: &[u8]) -> Option<usize> {
    let mut rest = input;
    loop {
        let (line, behind) = crate::split::line(rest)?;
        let Ok(size) = usize::from_str_radix(&String::from_utf8_lossy(line), 16) else { panic!("{line:?}") };
        if size == 0 {
            break rest = behind;
        }
        message.body.extend_from_slice(behind.get(..size)?);
        rest = behind.get(size..)?;
        if rest.len() < 2 {
            return None;
        }
        assert!(rest.starts_with(b"\r\n"), "a chunk is longer than it says");
        rest = &rest[2..];
    }
    let mut lines = [httparse::EMPTY_HEADER; 300];
    match httparse::parse_headers(rest, &mut lines) {
        Ok(httparse::Status::Complete((len, trailers))) => {
            assert!(!line_end::has_bare_lf(&rest[..len]));
            message.trailers = fields(trailers);
            Some(input.len() - rest.len() + len)
        }
        Ok(httparse::Status::Partial) => None,
        Err(error) => panic!("no trailers: {error}"),
    }
}
