//! An answer as it was read.

use std::fmt;

/// Status line and header fields, in their order.
#[derive(Clone, PartialEq)]
pub(crate) struct Head {
    pub(crate) minor_version: u8,
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
}

/// A whole answer.
#[derive(Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
}

impl Head {
    /// The value of the first field of this name.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// The values of every field of this name.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.fields
            .iter()
            .filter(move |(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.head.status
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.field(name)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("no JSON ({error}) in {self:?}"))
    }

    /// The version that made it.
    pub(crate) fn version(&self) -> &str {
        self.field("x-app-version").unwrap_or_else(|| panic!("no version in {self:?}"))
    }

    /// The `NAME=VALUE; attributes` of the cookie of this name, if it sets one.
    pub(crate) fn set_cookie(&self, name: &str) -> Option<&str> {
        self.head
            .all("set-cookie")
            .find(|cookie| cookie.split_once('=').is_some_and(|(known, _)| known == name))
    }

    /// What reached the app as header field `name`, if this is the answer of its route `/headers`.
    pub(crate) fn seen(&self, name: &str) -> Vec<String> {
        let json = self.json();
        let fields = json["headers"].as_array().unwrap_or_else(|| panic!("no header fields in {self:?}"));
        let of_this_name = fields.iter().filter(|field| field[0] == name);
        of_this_name.map(|field| field[1].as_str().unwrap().to_owned()).collect()
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "HTTP/1.{} {}", self.minor_version, self.status)?;
        self.fields.iter().try_for_each(|(name, value)| writeln!(f, "{name}: {value}"))
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = String::from_utf8_lossy(&self.body[..self.body.len().min(1000)]);
        write!(f, "{:?}\n{shown}\n{:?}", self.head, self.trailers)
    }
}
