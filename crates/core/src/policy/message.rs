//! What is done to messages on their way: paths, redirects, fields, own pages, compression, and how many there may be.

use crate::route::PathPrefix;

/// What is changed in the fields of a message, in this order: removed, set, added. Names are in lower case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderRules {
    /// Lines with these names are taken out.
    pub remove: Vec<String>,
    /// Names that are given one line with this value, instead of those that are there.
    pub set: Vec<(String, String)>,
    /// Lines that are added to those that are there.
    pub add: Vec<(String, String)>,
}

impl HeaderRules {
    /// Whether nothing is changed.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }
}

/// A request that is sent elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// Paths that it is for.
    pub from: PathPrefix,
    /// Where to: a path or a whole URL. What is behind the prefix, and the query, is put behind it.
    pub to: String,
    /// The status: 301, 302, 303, 307 or 308.
    pub status: u16,
}

/// How many requests one client may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Requests per second, at least 1.
    pub per_second: u32,
    /// Requests that may come at once, at least 1.
    pub burst: u32,
}

/// What is sent instead of the proxy's own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorPage {
    /// The status of the answer, 400 to 599.
    pub status: u16,
    /// An HTML file on the proxy's host. `{request_id}` and `{status}` in it are replaced.
    pub path: String,
}

/// How answers are compressed that the app did not compress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compression {
    /// Bytes that an answer must have, where its length is known.
    pub min_size: u64,
}

impl Default for Compression {
    fn default() -> Self {
        Self { min_size: 1024 }
    }
}
