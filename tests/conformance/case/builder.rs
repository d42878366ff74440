//! How a case is written down: in the order in which things happen.

use super::{Answer, Arrives, Case, End, Forward, Step};
use crate::upstream::Act;

/// What refused requests have behind them. It must never reach the upstream.
pub(crate) const SMUGGLED: &[u8] = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

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

/// Sends these bytes.
pub(crate) fn say(bytes: impl AsRef<[u8]>) -> Act {
    Act::Say(bytes.as_ref().to_vec())
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
