//! A case of the table: what is sent from both sides, and what must come out on both.

mod builder;

pub(crate) use builder::{case, each, get, old_get, say};

use crate::upstream::Act;

/// One case. Made by [`case`] and completed by the methods below, in the order in which things happen.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// `rfc<number>_<section>_<what>`
    pub(crate) name: String,
    pub(crate) steps: Vec<Step>,
    /// What the upstream plays, per request.
    pub(crate) scripts: Vec<Vec<Act>>,
    /// Every request that must reach the upstream, and no other one.
    pub(crate) forwards: Vec<Forward>,
    /// Every answer that the client must get.
    pub(crate) answers: Vec<Answer>,
    pub(crate) end: End,
    /// Whether it is played in one way only, because it takes long or is large.
    pub(crate) is_whole_only: bool,
}

/// One thing that the client does.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Send(Vec<u8>),
    /// Waits until this has come.
    Await(Vec<u8>),
    /// Waits until the heads of so many requests reached the upstream.
    AwaitRequests(usize),
    /// Lets the upstream go on.
    Cue,
    /// Waits until the upstream lets the client go on.
    OnCue,
    HalfClose,
    /// Closes the connection, and looks at nothing that comes.
    Leave,
}

/// A request as it must reach the upstream.
#[derive(Clone, Debug)]
pub(crate) struct Forward {
    /// Its lines but for the fields that the proxy adds to every request.
    pub(crate) head: String,
    pub(crate) body: Arrives,
    /// Lines that must be there byte for byte.
    pub(crate) lines: Vec<String>,
    /// Fields that must be there, `name: value`.
    pub(crate) has: Vec<String>,
    /// Names of fields that must not be there.
    pub(crate) lacks: Vec<String>,
    /// Trailer fields, all of them, `name: value`.
    pub(crate) trailers: Vec<String>,
    /// Whether it comes over the connection of the request before it, if that matters.
    pub(crate) is_on_same_connection: Option<bool>,
}

/// What of a request's body must reach the upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Arrives {
    /// Exactly this, and it is complete.
    Whole(Vec<u8>),
    /// Exactly these bytes, read without regard to framing.
    Bytes(Vec<u8>),
    /// If the request came at all, then not all of it: it broke on the way.
    Never,
    /// Whatever the script leaves unread.
    Anything,
}

/// An answer as the client must get it.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) has: Vec<String>,
    pub(crate) lacks: Vec<String>,
    /// How often fields must be there.
    pub(crate) times: Vec<(String, usize)>,
    /// Lines that must be there byte for byte.
    pub(crate) lines: Vec<String>,
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) trailers: Vec<String>,
    /// Whether no body follows whatever the head says, as after HEAD.
    pub(crate) is_bodiless: bool,
    /// Whether it breaks off before it is complete.
    pub(crate) is_cut: bool,
    /// Whether the proxy may close without it.
    pub(crate) is_optional: bool,
    /// Whether a complete 502 will do as well, because the proxy may see in time that the answer is no good.
    pub(crate) or_502: bool,
}

/// What becomes of the client's connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It serves another request.
    Open,
    /// The proxy closes it.
    Closed,
    /// The proxy resets it.
    Reset,
    /// The proxy closes or resets it.
    Broken,
    /// These bytes follow, then the proxy closes it: a tunnel.
    Tunnel(Vec<u8>),
    /// The client left.
    Left,
}

/// The RFC and the section in the name of a case: `rfc9112_6_3_both` is 9112 and `6.3`.
pub(crate) fn section(name: &str) -> Option<(u16, String)> {
    let mut parts = name.strip_prefix("rfc")?.split('_');
    let rfc = parts.next()?.parse().ok()?;
    let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let numbers: Vec<&str> = parts.clone().take_while(is_number).collect();
    let is_described = parts.nth(numbers.len()).is_some_and(|word| !word.is_empty());
    (!numbers.is_empty() && is_described).then(|| (rfc, numbers.join(".")))
}

#[test]
fn a_name_says_its_section() {
    assert_eq!(section("rfc9112_6_3_both_framings"), Some((9112, "6.3".to_owned())));
    assert_eq!(section("rfc7239_4_syntax"), Some((7239, "4".to_owned())));
    for name in ["both_framings", "rfc9112_both", "rfc9112_6_3", "rfc_6_3_a", "9112_6_a", "rfc9112_6_"] {
        assert_eq!(section(name), None, "{name}");
    }
}
