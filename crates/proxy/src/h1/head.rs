//! The heads of requests and answers: a start line and fields, parsed line by line as they come (RFC 9112 sections 2 to 5).

use std::borrow::Cow;
use std::ops::Range;

use http::{Method, StatusCode, Version};

use super::line::{self, Found, Lines, Malformed};
use super::target::{Form, Target, TargetError};
use crate::message::fields::Fields;
use crate::message::scan;

/// Bytes of the longest method that is understood. The longest registered one has 17.
const METHOD_MAX: usize = 32;

/// How large a head may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeadLimits {
    /// Bytes of the start line.
    pub(crate) line: usize,
    /// Bytes of all fields with their line ends.
    pub(crate) fields: usize,
    /// Fields.
    pub(crate) count: usize,
}

/// Why a head is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeadError {
    /// A line is.
    #[error("the message is malformed: {0}")]
    Line(#[from] Malformed),
    /// The start line is no request or status line (RFC 9112 sections 3 and 4).
    #[error("the message is malformed: its first line is no start line")]
    Start,
    /// The request target has none of its four forms (RFC 9112 section 3.2).
    #[error("the message is malformed: {0}")]
    Target(#[from] TargetError),
    /// `Host` and `:authority` name different hosts (RFC 9113 section 8.3.1).
    #[error("the message is malformed: its Host is not its authority")]
    Authority,
    /// It speaks another major version of HTTP (RFC 9110 section 2.5).
    #[error("this version of HTTP is not spoken here")]
    Version,
    /// No method is called that.
    #[error("no method has such a long name")]
    Method,
    /// The start line is larger than it may be.
    #[error("the request target is too long")]
    LineTooLong,
    /// The fields are larger, or more, than they may be.
    #[error("the request header fields are too large")]
    TooLarge,
}

/// A request's head.
#[derive(Debug, Default)]
pub(crate) struct RequestHead {
    pub(crate) method: Method,
    pub(crate) version: Version,
    pub(crate) fields: Fields,
    target: Target,
    /// Where the target is that goes on to a backend, if that is another one than came: empty otherwise.
    rewritten: Range<usize>,
    progress: Progress,
}

/// An answer's head.
#[derive(Debug, Default)]
pub(crate) struct AnswerHead {
    pub(crate) status: StatusCode,
    pub(crate) version: Version,
    pub(crate) fields: Fields,
    reason: Range<usize>,
    progress: Progress,
}

/// How far a head was parsed.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    lines: Lines,
    /// Where the fields begin; 0 before the start line was there.
    fields_at: usize,
}

impl RequestHead {
    /// Makes room for the next one.
    pub(crate) fn clear(&mut self) {
        self.fields.clear();
        (self.method, self.version) = (Method::default(), Version::default());
        (self.target, self.progress) = (Target::default(), Progress::default());
        self.rewritten = 0..0;
    }

    /// Parses what came so far, from the head's first byte. Answers how many bytes the whole head has, once it is whole.
    pub(crate) fn parse(&mut self, input: &[u8], limits: &HeadLimits) -> Result<Option<usize>, HeadError> {
        let parsed = self.parse_on(input, limits);
        if parsed.is_err() {
            self.give_up(input);
        }
        parsed
    }

    /// The rest of it will not come, or is not wanted. What was understood stays, for the answer and the log.
    pub(crate) fn give_up(&mut self, input: &[u8]) {
        self.fields.take_bytes(&input[..self.progress.lines.next_at()]);
    }

    /// The method, for people; `-` when what came is no request.
    pub(crate) fn method_text(&self) -> &str {
        if self.progress.fields_at == 0 { "-" } else { self.method.as_str() }
    }

    /// The target as it goes on to a backend.
    pub(crate) fn target_text(&self) -> Cow<'_, str> {
        match self.rewritten() {
            [] => self.asked_text(),
            target => String::from_utf8_lossy(target),
        }
    }

    /// The target as the client asked for it, without its authority.
    pub(crate) fn asked_text(&self) -> Cow<'_, str> {
        self.target.path_and_query(self.method.as_str().as_bytes(), self.fields.bytes())
    }

    /// Writes the target as it goes on to a backend.
    pub(crate) fn write_target(&self, out: &mut Vec<u8>) {
        match (self.rewritten(), self.target.origin_bytes(self.fields.bytes())) {
            ([], Some(target)) => out.extend_from_slice(target),
            ([], None) => out.extend_from_slice(self.asked_text().as_bytes()),
            (target, _) => out.extend_from_slice(target),
        }
    }

    /// Writes it as it goes on to a backend.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.method.as_str().as_bytes());
        out.push(b' ');
        self.write_target(out);
        out.extend_from_slice(b" HTTP/1.1\r\n");
        self.fields.write(out);
        out.extend_from_slice(b"\r\n");
    }

    /// Where the path is in the head's bytes, as it came; `None` where the target is not a path on a server.
    pub(crate) fn path_place(&self) -> Option<Range<usize>> {
        let is_path = match self.target.form() {
            Form::Origin => true,
            Form::Absolute => !(self.method == Method::OPTIONS && self.asked_text() == "*"),
            Form::Authority | Form::Asterisk => false,
        };
        is_path.then(|| self.target.path_place())
    }

    /// Lets `front` go on to a backend in place of everything in the target that is before `rest_at`, a place in the head's bytes.
    pub(crate) fn replace_path(&mut self, front: &[u8], rest_at: usize) {
        self.rewritten = self.fields.put_beside(front, rest_at..self.target.end());
    }

    fn rewritten(&self) -> &[u8] {
        self.fields.bytes().get(self.rewritten.clone()).unwrap_or_default()
    }

    /// Which form the target has.
    pub(crate) const fn form(&self) -> Form {
        self.target.form()
    }

    /// The authority of an absolute-form target.
    pub(crate) fn authority(&self) -> Option<&str> {
        self.target.authority(self.fields.bytes())
    }

    /// The target's path, as it came.
    pub(crate) fn path(&self) -> &[u8] {
        self.target.path(self.fields.bytes())
    }

    /// The target's query, as it came.
    pub(crate) fn query(&self) -> Option<&str> {
        self.target.query(self.fields.bytes())
    }

    fn parse_on(&mut self, input: &[u8], limits: &HeadLimits) -> Result<Option<usize>, HeadError> {
        if self.progress.fields_at == 0 && !self.parse_start(input, limits)? {
            return Ok(None);
        }
        self.progress.parse_fields(&mut self.fields, input, limits)
    }

    fn parse_start(&mut self, input: &[u8], limits: &HeadLimits) -> Result<bool, HeadError> {
        let lines = &mut self.progress.lines;
        let found = match lines.next(input)? {
            // RFC 9112 section 2.2: one empty line before the request line is ignored.
            Some((0, [])) => lines.next(input)?,
            found => found,
        };
        let Some((at, line)) = found else {
            let begun = &input[lines.next_at()..];
            let is_possible = match begun.first() {
                // The line end that is ignored may come in two pieces.
                Some(b'\r') => begun.len() == 1 && lines.next_at() == 0,
                Some(&first) => line::is_token_byte(first),
                None => true,
            };
            if !is_possible {
                return Err(HeadError::Start);
            }
            // Its CR may have come without its LF.
            return if begun.len() > limits.line + 1 { Err(HeadError::LineTooLong) } else { Ok(false) };
        };
        if line.len() > limits.line {
            return Err(HeadError::LineTooLong);
        }
        let method_len = line.iter().position(|&byte| !line::is_token_byte(byte)).ok_or(HeadError::Start)?;
        if method_len == 0 || line[method_len] != b' ' {
            return Err(HeadError::Start);
        }
        let (method, rest) = (&line[..method_len], &line[method_len + 1..]);
        let target_len = scan::byte(rest, b' ').ok_or(HeadError::Start)?;
        self.version = version(&rest[target_len + 1..])?;
        if method.len() > METHOD_MAX {
            return Err(HeadError::Method);
        }
        self.method = Method::from_bytes(method).map_err(|_| HeadError::Start)?;
        self.target = Target::parse(method, &rest[..target_len], at + method_len + 1)?;
        self.progress.fields_at = self.progress.lines.next_at();
        Ok(true)
    }
}

impl AnswerHead {
    /// Makes room for the next one.
    pub(crate) fn clear(&mut self) {
        self.fields.clear();
        self.progress = Progress::default();
    }

    /// Parses what came so far, from the head's first byte. Answers how many bytes the whole head has, once it is whole. Before, and
    /// when it is refused, its fields mean nothing.
    pub(crate) fn parse(&mut self, input: &[u8], limits: &HeadLimits) -> Result<Option<usize>, HeadError> {
        if self.progress.fields_at == 0 && !self.parse_start(input, limits)? {
            return Ok(None);
        }
        self.progress.parse_fields(&mut self.fields, input, limits)
    }

    /// What the backend says of the status, for people.
    pub(crate) fn reason(&self) -> &[u8] {
        &self.fields.bytes()[self.reason.clone()]
    }

    /// RFC 9112 section 4. The space before an empty reason may be missing, as many servers leave it out.
    fn parse_start(&mut self, input: &[u8], limits: &HeadLimits) -> Result<bool, HeadError> {
        let Some((at, line)) = self.progress.lines.next(input)? else {
            return if input.len() > limits.line + 1 { Err(HeadError::LineTooLong) } else { Ok(false) };
        };
        if line.len() > limits.line {
            return Err(HeadError::LineTooLong);
        }
        let (Some(word), Some(rest)) = (line.get(..8), line.get(8..)) else { return Err(HeadError::Start) };
        // There is no other version of HTTP/1, and who answers in one is not understood for sure.
        self.version = match word {
            b"HTTP/1.1" => Version::HTTP_11,
            b"HTTP/1.0" => Version::HTTP_10,
            _ => return version(word).and(Err(HeadError::Version)),
        };
        let (digits, reason) = match rest {
            [b' ', a, b, c] => ([a, b, c], &b""[..]),
            [b' ', a, b, c, b' ', reason @ ..] => ([a, b, c], reason),
            _ => return Err(HeadError::Start),
        };
        if !digits.iter().all(|digit| digit.is_ascii_digit()) || !line::is_value(reason) {
            return Err(HeadError::Start);
        }
        let number = digits.iter().fold(0, |number, &digit| number * 10 + u16::from(digit - b'0'));
        self.status = StatusCode::from_u16(number).map_err(|_| HeadError::Start)?;
        let end = at + line.len();
        self.reason = end - reason.len()..end;
        self.progress.fields_at = self.progress.lines.next_at();
        Ok(true)
    }
}

impl Progress {
    fn parse_fields(
        &mut self,
        fields: &mut Fields,
        input: &[u8],
        limits: &HeadLimits,
    ) -> Result<Option<usize>, HeadError> {
        // Behind it nothing is looked at: a line that does not end there is too large, whatever else it is.
        let most = self.fields_at + limits.fields + 2;
        let within = &input[..input.len().min(most)];
        while let Some(found) = self.lines.next_field(within)? {
            match found {
                Found::Field(_) if fields.lines_seen() == limits.count => return Err(HeadError::TooLarge),
                Found::Field(line) => fields.push(line),
                Found::End => {
                    let end = self.lines.next_at();
                    fields.take_bytes(&input[..end]);
                    return Ok(Some(end));
                }
            }
        }
        if input.len() > most { Err(HeadError::TooLarge) } else { Ok(None) }
    }
}

/// RFC 9112 section 2.3. A higher minor version is spoken to as 1.1 (RFC 9110 section 2.5).
fn version(word: &[u8]) -> Result<Version, HeadError> {
    match word {
        b"HTTP/1.1" => Ok(Version::HTTP_11),
        b"HTTP/1.0" => Ok(Version::HTTP_10),
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9'] => Ok(Version::HTTP_11),
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => Err(HeadError::Version),
        _ => Err(HeadError::Start),
    }
}

#[cfg(test)]
#[path = "head/tests.rs"]
mod tests;
