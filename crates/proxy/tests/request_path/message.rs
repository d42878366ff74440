//! Reads HTTP/1.1 messages for the client and the app of these tests: strictly, since what they read was written by the proxy.

use std::io::BufRead;

/// A message as it came over the wire.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// Request line or status line.
    pub(crate) start: String,
    /// Fields in their order, names in lower case.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: String,
    pub(crate) trailers: Vec<(String, String)>,
}

impl Message {
    /// The value of a field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The status of an answer.
    pub(crate) fn status(&self) -> u16 {
        self.start.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap()
    }

    /// Reads a head; `None` at the end of the stream.
    pub(crate) fn read_head(stream: &mut impl BufRead) -> Option<Self> {
        let start = read_line(stream)?;
        let fields = read_fields(stream)?;
        Some(Self { start, fields, ..Self::default() })
    }

    /// Reads the body that the head announces. `None`: it broke off.
    pub(crate) fn read_body(&mut self, stream: &mut impl BufRead) -> Option<()> {
        if self.field("transfer-encoding") == Some("chunked") {
            return self.read_chunks(stream);
        }
        let length: usize = self.field("content-length").map_or(0, |length| length.parse().unwrap());
        self.body = read_exactly(stream, length)?;
        Some(())
    }

    fn read_chunks(&mut self, stream: &mut impl BufRead) -> Option<()> {
        loop {
            let line = read_line(stream)?;
            let length = usize::from_str_radix(line.split(';').next().unwrap(), 16).unwrap();
            if length == 0 {
                self.trailers = read_fields(stream)?;
                return Some(());
            }
            self.body.push_str(&read_exactly(stream, length)?);
            assert_eq!(read_line(stream)?, "");
        }
    }
}

fn read_exactly(stream: &mut impl BufRead, length: usize) -> Option<String> {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).ok()?;
    Some(String::from_utf8(bytes).unwrap())
}

fn read_fields(stream: &mut impl BufRead) -> Option<Vec<(String, String)>> {
    let mut fields = Vec::new();
    loop {
        let line = read_line(stream)?;
        if line.is_empty() {
            return Some(fields);
        }
        let (name, value) = line.split_once(':').unwrap();
        fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

fn read_line(stream: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    let read = stream.read_line(&mut line).ok()?;
    (read > 0).then(|| {
        line.strip_suffix("\r\n").unwrap_or_else(|| panic!("{line:?} does not end in CRLF")).to_owned()
    })
}
