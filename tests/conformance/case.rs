//! A case of the table: what is sent from both sides, and what must come out on both.

use crate::upstream::Act;

/// What refused requests have behind them. It must never reach the upstream.
pub(crate) const SMUGGLED: &[u8] = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

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

/// A case in which nothing happens yet.
pub(crate) fn case(name: impl Into<String>) -> Case {
    Case {
        name: name.into(),
        steps: Vec::new(),
        scripts: Vec::new(),
        forwards: Vec::new(),
        answers: Vec::new(),
        end: End::Open,
        is_whole_only: false,
    }
}

/// A plain GET that reaches the upstream: the beginning of cases about answers.
pub(crate) fn get(name: impl Into<String>) -> Case {
    case(name).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").forwards("GET / HTTP/1.1\nHost: a")
}

/// The same with HTTP/1.0.
pub(crate) fn old_get(name: impl Into<String>) -> Case {
    case(name).send("GET / HTTP/1.0\r\nHost: a\r\n\r\n").forwards("GET / HTTP/1.1\nHost: a")
}

/// One case per row: the first column ends its name, the second makes what is different about it.
pub(crate) fn each<T: Copy>(name: &str, rows: &[(&str, T)], make: impl Fn(Case, T) -> Case) -> Vec<Case> {
    rows.iter().map(|&(ending, given)| make(case(format!("{name}_{ending}")), given)).collect()
}

/// What the client does.
impl Case {
    pub(crate) fn send(self, bytes: impl AsRef<[u8]>) -> Self {
        self.step(Step::Send(bytes.as_ref().to_vec()))
    }

    pub(crate) fn awaits(self, text: &str) -> Self {
        self.step(Step::Await(text.as_bytes().to_vec()))
    }

    pub(crate) fn awaits_requests(self, count: usize) -> Self {
        self.step(Step::AwaitRequests(count))
    }

    pub(crate) fn cues_upstream(self) -> Self {
        self.step(Step::Cue)
    }

    pub(crate) fn awaits_cue(self) -> Self {
        self.step(Step::OnCue)
    }

    pub(crate) fn half_closes(self) -> Self {
        self.step(Step::HalfClose)
    }

    pub(crate) fn leaves(self) -> Self {
        self.step(Step::Leave).ends(End::Left)
    }

    /// Played once, with whole writes.
    pub(crate) fn whole_only(mut self) -> Self {
        self.is_whole_only = true;
        self
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}

/// What the upstream does with the next request that has no script yet.
impl Case {
    /// Plays this after it read the head.
    pub(crate) fn upstream(mut self, script: impl Into<Vec<Act>>) -> Self {
        self.scripts.push(script.into());
        self
    }

    /// Answers this when the request is complete.
    pub(crate) fn answering(self, bytes: impl AsRef<[u8]>) -> Self {
        self.upstream([Act::Body, say(bytes)])
    }

    /// The same, and closes.
    pub(crate) fn answering_and_closing(self, bytes: impl AsRef<[u8]>) -> Self {
        self.upstream([Act::Body, say(bytes), Act::Close])
    }
}

/// What the upstream must get. Each line about a request is about the last one that was named.
impl Case {
    /// A request with this head and no body. The order of the lines and the case of names don't matter.
    pub(crate) fn forwards(self, head: &str) -> Self {
        self.forwards_body(head, "")
    }

    /// A request with this head and this body.
    pub(crate) fn forwards_body(self, head: &str, body: impl AsRef<[u8]>) -> Self {
        self.forward(head, Arrives::Whole(body.as_ref().to_vec()))
    }

    /// A request with this head, followed by these bytes, which are no body.
    pub(crate) fn forwards_bytes(self, head: &str, bytes: impl AsRef<[u8]>) -> Self {
        self.forward(head, Arrives::Bytes(bytes.as_ref().to_vec()))
    }

    /// A request with this head, whatever comes of its body.
    pub(crate) fn forwards_begun(self, head: &str) -> Self {
        self.forward(head, Arrives::Anything)
    }

    /// At most the beginning of a request with this head.
    pub(crate) fn forwards_never_whole(self, head: &str) -> Self {
        self.forward(head, Arrives::Never)
    }

    pub(crate) fn upstream_has(mut self, field: &str) -> Self {
        self.last_forward().has.push(field.to_owned());
        self
    }

    pub(crate) fn upstream_lacks(mut self, name: &str) -> Self {
        self.last_forward().lacks.push(name.to_owned());
        self
    }

    pub(crate) fn upstream_line(mut self, line: &str) -> Self {
        self.last_forward().lines.push(line.to_owned());
        self
    }

    pub(crate) fn upstream_trailer(mut self, field: &str) -> Self {
        self.last_forward().trailers.push(field.to_owned());
        self
    }

    /// It comes over the connection of the request before it.
    pub(crate) fn upstream_same_connection(mut self) -> Self {
        self.last_forward().is_on_same_connection = Some(true);
        self
    }

    /// It comes over another connection than the request before it.
    pub(crate) fn upstream_new_connection(mut self) -> Self {
        self.last_forward().is_on_same_connection = Some(false);
        self
    }

    fn forward(mut self, head: &str, body: Arrives) -> Self {
        let (head, none) = (head.to_owned(), Vec::new);
        self.forwards.push(Forward {
            head,
            body,
            lines: none(),
            has: none(),
            lacks: none(),
            trailers: none(),
            is_on_same_connection: None,
        });
        self
    }

    fn last_forward(&mut self) -> &mut Forward {
        self.forwards.last_mut().expect("a request is named before what it has")
    }
}

/// What the client must get. Each line about an answer is about the last one that was named.
impl Case {
    /// An answer with this status.
    pub(crate) fn gets(mut self, status: u16) -> Self {
        let none = Vec::new;
        self.answers.push(Answer {
            status,
            has: none(),
            lacks: none(),
            times: Vec::new(),
            lines: none(),
            body: None,
            trailers: none(),
            is_bodiless: false,
            is_cut: false,
            is_optional: false,
            or_502: false,
        });
        self
    }

    /// Nothing but a refusal of ours: with a body, a date and an id, and the end of the connection. A request that is hidden behind the
    /// refused one is never seen.
    pub(crate) fn refused(mut self, status: u16) -> Self {
        let behind = self.steps.iter().rposition(|step| matches!(step, Step::Send(_)));
        if let Some(Step::Send(bytes)) = behind.and_then(|at| self.steps.get_mut(at)) {
            bytes.extend_from_slice(SMUGGLED);
        }
        self.refused_without_more(status)
    }

    /// The same for a request that is still incomplete, so that nothing can be hidden behind it.
    pub(crate) fn refused_without_more(self, status: u16) -> Self {
        self.gets(status)
            .has("connection: close")
            .has("cache-control: no-store")
            .has("content-type: application/problem+json")
            .has("x-request-id")
            .closed()
    }

    /// A field, `name: value`, or a name alone.
    pub(crate) fn has(mut self, field: &str) -> Self {
        self.last_answer().has.push(field.to_owned());
        self
    }

    pub(crate) fn lacks(mut self, name: &str) -> Self {
        self.last_answer().lacks.push(name.to_owned());
        self
    }

    /// A field that is there so often, on lines of its own.
    pub(crate) fn times(mut self, name: &str, count: usize) -> Self {
        self.last_answer().times.push((name.to_owned(), count));
        self
    }

    pub(crate) fn line(mut self, line: &str) -> Self {
        self.last_answer().lines.push(line.to_owned());
        self
    }

    pub(crate) fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.last_answer().body = Some(body.as_ref().to_vec());
        self
    }

    pub(crate) fn trailer(mut self, field: &str) -> Self {
        self.last_answer().trailers.push(field.to_owned());
        self
    }

    pub(crate) fn bodiless(mut self) -> Self {
        self.last_answer().is_bodiless = true;
        self
    }

    /// The answer may be missing.
    pub(crate) fn or_nothing(mut self) -> Self {
        self.last_answer().is_optional = true;
        self
    }

    /// The answer breaks off: no client can take it for complete.
    pub(crate) fn cut_off(mut self) -> Self {
        self.last_answer().is_cut = true;
        self.ends(End::Broken)
    }

    /// No complete 200: one that breaks off, or a 502, or none at all.
    pub(crate) fn gets_no_complete_answer(self) -> Self {
        let mut case = self.gets(200).or_nothing().cut_off();
        case.last_answer().or_502 = true;
        case
    }

    /// The answer breaks off where only a reset shows it.
    pub(crate) fn cut_off_by_reset(mut self) -> Self {
        self.last_answer().is_cut = true;
        self.ends(End::Reset)
    }

    pub(crate) fn closed(self) -> Self {
        self.ends(End::Closed)
    }

    pub(crate) fn closed_or_reset(self) -> Self {
        self.ends(End::Broken)
    }

    /// After the answer to a change of protocol: these bytes, then the end.
    pub(crate) fn tunnel(self, bytes: impl AsRef<[u8]>) -> Self {
        self.ends(End::Tunnel(bytes.as_ref().to_vec()))
    }

    fn ends(mut self, end: End) -> Self {
        self.end = end;
        self
    }

    fn last_answer(&mut self) -> &mut Answer {
        self.answers.last_mut().expect("an answer is named before what it has")
    }
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

/// Sends these bytes.
pub(crate) fn say(bytes: impl AsRef<[u8]>) -> Act {
    Act::Say(bytes.as_ref().to_vec())
}

#[test]
fn a_name_says_its_section() {
    assert_eq!(section("rfc9112_6_3_both_framings"), Some((9112, "6.3".to_owned())));
    assert_eq!(section("rfc7239_4_syntax"), Some((7239, "4".to_owned())));
    for name in ["both_framings", "rfc9112_both", "rfc9112_6_3", "rfc_6_3_a", "9112_6_a", "rfc9112_6_"] {
        assert_eq!(section(name), None, "{name}");
    }
}
