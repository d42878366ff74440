//! Heads of messages, and what they say about the bodies behind them.

use crate::wire::Fault;

/// The head of a message. Its bytes are characters U+0000 to U+00FF, one each, so that none of them is lost.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    /// The first line.
    pub(crate) start: String,
    /// Names in lower case, values without the blanks around them, in the order of the lines.
    pub(crate) fields: Vec<(String, String)>,
    /// All of it, as it came.
    pub(crate) raw: String,
}

/// How far a body goes (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Nothing,
    Length(usize),
    Chunked,
    UntilClose,
}

impl Head {
    /// Reads a head, which ends in an empty line.
    pub(crate) fn parse(raw: String) -> Result<Self, Fault> {
        let mut lines = raw.trim_end_matches("\r\n").split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        if start.contains(['\r', '\n', '\0']) {
            return Err(Fault::Malformed(format!("the first line {start:?}")));
        }
        let fields = lines.map(field).collect::<Result<_, _>>()?;
        Ok(Self { start, fields, raw })
    }

    /// The value of the field, all of its lines joined.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let lines: Vec<&str> = self.all(name).collect();
        (!lines.is_empty()).then(|| lines.join(", "))
    }

    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields.iter().filter(move |(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The status, of an answer.
    pub(crate) fn status(&self) -> Result<u16, Fault> {
        let malformed = || Fault::Malformed(format!("the status line {:?}", self.start));
        let rest = self.start.strip_prefix("HTTP/1.1 ").ok_or_else(malformed)?;
        let (status, _reason) = rest.split_once(' ').ok_or_else(malformed)?;
        let is_status = status.len() == 3 && status.bytes().all(|b| b.is_ascii_digit());
        status.parse().ok().filter(|_| is_status).ok_or_else(malformed)
    }

    /// How far the body goes, of a request.
    pub(crate) fn request_framing(&self) -> Result<Framing, Fault> {
        Ok(self.framing()?.unwrap_or(Framing::Nothing))
    }

    /// How far the body goes, of an answer. `is_bodiless` for an answer to HEAD.
    pub(crate) fn answer_framing(&self, is_bodiless: bool) -> Result<Framing, Fault> {
        let status = self.status()?;
        if is_bodiless || status < 200 || status == 204 || status == 304 {
            return Ok(Framing::Nothing);
        }
        Ok(self.framing()?.unwrap_or(Framing::UntilClose))
    }

    fn framing(&self) -> Result<Option<Framing>, Fault> {
        let (length, coding) = (self.field("content-length"), self.field("transfer-encoding"));
        let malformed = || Fault::Malformed(format!("framed by {length:?} and {coding:?}"));
        match (&length, &coding) {
            (None, None) => Ok(None),
            (None, Some(coding)) if coding == "chunked" => Ok(Some(Framing::Chunked)),
            (Some(digits), None) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().map(|length| Some(Framing::Length(length))).map_err(|_| malformed())
            }
            _ => Err(malformed()),
        }
    }
}

/// Name and value of a field line (RFC 9112 section 5).
pub(crate) fn field(line: &str) -> Result<(String, String), Fault> {
    let malformed = || Fault::Malformed(format!("the field line {line:?}"));
    let (name, value) = line.split_once(':').ok_or_else(malformed)?;
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let is_value = |c: char| c == '\t' || (c >= ' ' && c != '\u{7f}');
    if name.is_empty() || !name.chars().all(is_token) || !value.chars().all(is_value) {
        return Err(malformed());
    }
    Ok((name.to_ascii_lowercase(), value.trim_matches([' ', '\t']).to_owned()))
}
