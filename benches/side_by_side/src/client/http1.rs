//! A client of HTTP/1.1: a request at a time.

use std::net::TcpStream;

use super::Ask;
use crate::error::Error;
use crate::origin::LEAN;
use crate::transport::Transport;

const HEAD_MAX: usize = 16 << 10;
const FIELDS_MAX: usize = 64;
/// A head is read in portions of this size, so that what is left of a large body can be dropped without being copied.
const HEAD_READ: usize = 4 << 10;

#[derive(Debug)]
pub(crate) struct Client {
    transport: Transport,
    request: Vec<u8>,
    answer: Answer,
}

/// The answer that is arriving, or the last one.
#[derive(Debug)]
struct Answer {
    head: Vec<u8>,
    awaiting: Awaiting,
    body_expected: u64,
}

#[derive(Clone, Copy, Debug)]
enum Awaiting {
    Nothing,
    Head,
    Body { left: u64 },
}

impl Client {
    pub(crate) fn new(transport: Transport, ask: &Ask, cookie: &str) -> Self {
        let answer = Answer { head: Vec::new(), awaiting: Awaiting::Nothing, body_expected: ask.body as u64 };
        Self { transport, request: request(ask.path, cookie), answer }
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        self.transport.stream()
    }

    pub(crate) fn send(&mut self) -> Result<(), Error> {
        self.answer.head.clear();
        self.answer.awaiting = Awaiting::Head;
        self.transport.send(&self.request)
    }

    /// Takes what has arrived. True when that completed the answer, and the answer was as it should be.
    pub(crate) fn receive(&mut self, scratch: &mut [u8]) -> Result<bool, Error> {
        let portion = match self.answer.awaiting {
            // More than one byte is not needed to see that it is unasked for.
            Awaiting::Nothing => 1,
            Awaiting::Head if matches!(self.transport, Transport::Plain(_)) => HEAD_READ.min(scratch.len()),
            Awaiting::Head => scratch.len(),
            Awaiting::Body { left } => {
                let portion = usize::try_from(left).unwrap_or(usize::MAX).min(scratch.len());
                if let Some(skipped) = self.transport.skip(&mut scratch[..portion])? {
                    return self.answer.finish(left, skipped);
                }
                scratch.len()
            }
        };
        let mut is_complete = false;
        let answer = &mut self.answer;
        self.transport.receive(&mut scratch[..portion], |bytes| {
            is_complete = answer.take(bytes)?;
            Ok(())
        })?;
        Ok(is_complete)
    }

    /// The cookies that the last answer set, as a request gives them back.
    pub(crate) fn cookies(&self) -> String {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut answer = httparse::Response::new(&mut fields);
        if answer.parse(&self.answer.head).is_err() {
            return String::new();
        }
        let pairs = answer.headers.iter().filter(|field| field.name.eq_ignore_ascii_case("set-cookie"));
        let pairs = pairs.filter_map(|field| std::str::from_utf8(field.value).ok()?.split(';').next());
        pairs.collect::<Vec<_>>().join("; ")
    }
}

impl Answer {
    /// Takes its next bytes. True when they are its last.
    fn take(&mut self, bytes: &[u8]) -> Result<bool, Error> {
        match self.awaiting {
            Awaiting::Nothing => Err(Error::Framing),
            Awaiting::Head => self.take_head(bytes),
            Awaiting::Body { left } => self.finish(left, bytes.len() as u64),
        }
    }

    fn take_head(&mut self, bytes: &[u8]) -> Result<bool, Error> {
        self.head.extend_from_slice(bytes);
        let Some((head_length, body_length)) = parse(&self.head)? else { return Ok(false) };
        if body_length != self.body_expected {
            return Err(Error::Length { got: body_length, expected: self.body_expected });
        }
        let arrived = (self.head.len() - head_length) as u64;
        self.head.truncate(head_length);
        self.finish(body_length, arrived)
    }

    fn finish(&mut self, left: u64, arrived: u64) -> Result<bool, Error> {
        let Some(left) = left.checked_sub(arrived) else { return Err(Error::Framing) };
        self.awaiting = if left == 0 { Awaiting::Nothing } else { Awaiting::Body { left } };
        Ok(left == 0)
    }
}

/// The lengths of head and body, once the head is complete. Only the answer of the origin counts: 200, and its length known.
fn parse(received: &[u8]) -> Result<Option<(usize, u64)>, Error> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut answer = httparse::Response::new(&mut fields);
    let head_length = match answer.parse(received) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if received.len() < HEAD_MAX => return Ok(None),
        Ok(httparse::Status::Partial) | Err(_) => return Err(Error::Framing),
    };
    let status = answer.code.unwrap_or_default();
    if status != 200 {
        return Err(Error::Status(status));
    }
    let length = answer.headers.iter().find(|field| field.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|field| std::str::from_utf8(field.value).ok()?.trim().parse().ok());
    length.map(|length| Some((head_length, length))).ok_or(Error::Framing)
}

/// A request as a browser's script makes it, or as load tools do.
fn request(path: &str, cookie: &str) -> Vec<u8> {
    if path == LEAN {
        return format!("GET {path} HTTP/1.1\r\nHost: shop.example\r\nCookie: {cookie}\r\n\r\n").into_bytes();
    }
    let separator = if cookie.is_empty() { "" } else { "; " };
    format!(
        "GET {path} HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0)\r\n\
         Accept: application/json, text/plain, */*\r\nAccept-Language: en-GB,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\n\
         Cookie: session=0123456789abcdef0123456789abcdef{separator}{cookie}\r\n\r\n"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_understood_once_its_head_is_complete() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-LENGTH: 128\r\n\r\n";
        assert!(matches!(parse(&answer[..answer.len() - 1]), Ok(None)));
        assert!(matches!(parse(answer), Ok(Some((length, 128))) if length == answer.len()));
    }

    #[test]
    fn an_answer_that_would_compare_other_work_is_an_error() {
        assert!(matches!(parse(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"), Err(Error::Status(503))));
        assert!(matches!(
            parse(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
            Err(Error::Framing)
        ));
        assert!(matches!(parse(b"SSH-2.0-x\r\n\r\n"), Err(Error::Framing)));
        assert!(matches!(parse(&b"HTTP/1.1 200 OK\r\nA: b\r\n".repeat(HEAD_MAX)), Err(Error::Framing)));
    }

    #[test]
    fn a_request_gives_the_pin_back_beside_the_apps_own_cookie() {
        let text = String::from_utf8(request("/", "cutover=abc")).unwrap();
        assert!(
            text.contains("\r\nCookie: session=0123456789abcdef0123456789abcdef; cutover=abc\r\n\r\n"),
            "{text}"
        );
        assert!(!String::from_utf8(request("/", "")).unwrap().contains("; \r\n"));
    }
}
