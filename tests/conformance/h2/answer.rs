//! What came on a stream, and what every header block must be.

use super::frame::Code;
use super::hpack::Field;

/// What came on a stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) interim: Vec<Vec<Field>>,
    pub(crate) head: Vec<Field>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<Vec<Field>>,
    pub(crate) end: Option<End>,
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Whole,
    Reset(Code),
}

impl Answer {
    pub(crate) fn status(&self) -> Option<&str> {
        self.field(":status")
    }

    /// The value of the first field of this name in the head.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }

    pub(crate) fn trailer(&self, name: &str) -> Option<&str> {
        field(self.trailers.as_deref().unwrap_or_default(), name)
    }
}

pub(crate) fn field<'a>(fields: &'a [Field], name: &str) -> Option<&'a str> {
    fields.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
}

/// What every header block must be (sections 8.2 and 8.3): these pseudo-header fields first, once each, then fields that HTTP/2 knows.
pub(crate) fn is_sound(fields: &[Field], pseudo: &[&str]) -> bool {
    const OF_CONNECTION: [&str; 5] =
        ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];
    let (first, rest) = fields.split_at(fields.iter().take_while(|(name, _)| name.starts_with(':')).count());
    let names_once = pseudo.iter().all(|wanted| first.iter().filter(|(name, _)| name == wanted).count() == 1);
    names_once
        && first.len() == pseudo.len()
        && rest.iter().all(|(name, value)| {
            let is_name = |c: char| c.is_ascii_graphic() && !c.is_ascii_uppercase() && c != ':';
            let is_value = !value.contains(['\0', '\r', '\n']) && value.trim_matches([' ', '\t']) == value;
            !name.is_empty()
                && name.chars().all(is_name)
                && is_value
                && !OF_CONNECTION.contains(&name.as_str())
        })
}
