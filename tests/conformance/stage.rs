//! Where cases are played: a proxy before a scripted upstream, one case after the other.

use std::time::{Duration, Instant};

use crate::case::{Arrives, Case, Forward, section};
use crate::client::{self, has_field};
use crate::cut::Cut;
use crate::head::Head;
use crate::proxy::{Config, Proxy};
use crate::upstream::{Heard, Upstream};
use crate::wire::text;

/// Proxies that share the cases of an area: they spend more time waiting than working.
const LANES: usize = 3;
/// Cases that are worth a proxy.
const CASES_MIN: usize = 10;
/// Time that the proxy has after a case to give up what it does not need any more, such as a request whose client is gone.
const DRAIN_MAX: Duration = Duration::from_millis(1500);
/// Time that a connection to the upstream has to end between two requests that may take it away.
const PATIENCE: Duration = Duration::from_millis(20);

/// Fields that the proxy gives every request. A case that is about one names it.
const ADDED: [&str; 6] =
    ["via", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-request-id", "forwarded"];

/// A part of the table: cases that are played on one proxy.
#[derive(Debug)]
pub(crate) struct Area {
    pub(crate) config: Config,
    pub(crate) cases: Vec<Case>,
}

impl Area {
    /// With a proxy as it comes.
    pub(crate) fn usual(parts: impl IntoIterator<Item = Vec<Case>>) -> Self {
        Self::with(Config::default(), parts)
    }

    pub(crate) fn with(config: Config, parts: impl IntoIterator<Item = Vec<Case>>) -> Self {
        Self { config, cases: parts.into_iter().flatten().collect() }
    }

    /// Plays every case, whole and cut in several ways, and fails with a list of all that went wrong.
    pub(crate) fn play(&self) {
        let share = self.cases.len().div_ceil(LANES).max(CASES_MIN);
        let failures: Vec<String> = std::thread::scope(|scope| {
            let lanes: Vec<_> =
                self.cases.chunks(share).map(|cases| scope.spawn(|| play_all(self.config, cases))).collect();
            lanes.into_iter().flat_map(|lane| lane.join().expect("a lane of the stage broke")).collect()
        });
        let (failed, all) = (failures.len(), self.cases.len());
        assert!(failures.is_empty(), "{failed} of {all} cases fail:\n{}\n", failures.join("\n"));
    }
}

/// Plays cases one after the other on a proxy of their own. Answers what went wrong with each that failed.
fn play_all(config: Config, cases: &[Case]) -> Vec<String> {
    let upstream = Upstream::start();
    let proxy = Proxy::start(config, upstream.address(), |address| client::ask_marker(address).is_ok());
    let mut failures = Vec::new();
    for case in cases {
        let ways = Cut::all(&case.name);
        let ways = if case.is_whole_only { &ways[..1] } else { &ways[..] };
        let failed = ways.iter().find_map(|&cut| Some((cut, play(case, cut, &proxy, &upstream).err()?)));
        if let Some((cut, problem)) = failed {
            let (rfc, section) = section(&case.name).unwrap_or_default();
            failures.push(format!("{}\n  RFC {rfc} section {section}, sent {cut:?}\n  {problem}", case.name));
        }
    }
    failures
}

/// Plays a case once.
fn play(case: &Case, cut: Cut, proxy: &Proxy, upstream: &Upstream) -> Result<(), String> {
    play_with(case, cut, proxy, upstream, || client::play(case, cut, proxy.address(), upstream))
}

/// The same with another client's part.
pub(crate) fn play_with(
    case: &Case,
    cut: Cut,
    proxy: &Proxy,
    upstream: &Upstream,
    play: impl FnOnce() -> Result<(), String>,
) -> Result<(), String> {
    upstream.begin(&case.scripts, cut);
    let played = play();
    let drained = drain(proxy, upstream);
    if played.is_err() || drained.is_err() {
        upstream.hang_up();
    }
    let (heard, garbage) = upstream.end();
    let judged = judge(case, &heard, &garbage);
    let problems: Vec<String> = [played, drained, judged].into_iter().filter_map(Result::err).collect();
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n  ")) }
}

/// Asks for the marker until no connection to the upstream is left. Whatever the case made the proxy send has arrived by then: it was
/// sent over connections that are over now, and before the marker.
fn drain(proxy: &Proxy, upstream: &Upstream) -> Result<(), String> {
    let deadline = Instant::now() + DRAIN_MAX;
    while Instant::now() < deadline {
        client::ask_marker(proxy.address()).map_err(|problem| format!("after the case: {problem}"))?;
        if upstream.is_left_alone(PATIENCE) {
            return Ok(());
        }
    }
    Err("after the case: the proxy keeps a connection to the upstream that it does not use".to_owned())
}

/// What reached the upstream and should not have, or the other way round.
fn judge(case: &Case, heard: &[Heard], garbage: &[String]) -> Result<(), String> {
    if !garbage.is_empty() {
        return Err(format!("the upstream got what is no request: {garbage:?}"));
    }
    let needed = case.forwards.iter().filter(|forward| forward.body != Arrives::Never).count();
    if heard.len() > case.forwards.len() || heard.len() < needed {
        let seen: Vec<&str> = heard.iter().map(|heard| heard.head.raw.as_str()).collect();
        return Err(format!("expected {needed} requests upstream, seen {}: {seen:?}", heard.len()));
    }
    let mut problems: Vec<String> =
        case.forwards.iter().zip(heard).flat_map(|(forward, heard)| compare(forward, heard)).collect();
    for (forward, pair) in case.forwards.iter().skip(1).zip(heard.windows(2)) {
        let is_same = pair[0].connection == pair[1].connection;
        if forward.is_on_same_connection.is_some_and(|wanted| wanted != is_same) {
            problems.push(format!("{:?} came over the wrong connection", forward.head));
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    let seen: Vec<String> =
        heard.iter().map(|heard| format!("{:?} and {:?}", heard.head.raw, text(&heard.body.bytes))).collect();
    Err(format!("upstream: {}; it got {}", problems.join("; "), seen.join(", then ")))
}

fn compare(expected: &Forward, heard: &Heard) -> Vec<String> {
    let mut problems = Vec::new();
    let (wanted, seen) = (normal(&expected.head), normal_head(&heard.head, &expected.head));
    if wanted != seen {
        problems.push(format!("expected {wanted:?}, seen {seen:?}"));
    }
    for field in expected.has.iter().filter(|field| !has_field(&heard.head, field)) {
        problems.push(format!("expected the field {field:?}"));
    }
    for name in &expected.lacks {
        problems.extend(heard.head.field(name).map(|value| format!("expected no {name}, seen {value:?}")));
    }
    for line in expected.lines.iter().filter(|line| !heard.head.raw.split("\r\n").any(|found| found == *line))
    {
        problems.push(format!("expected the line {line:?}"));
    }
    let body = &heard.body.bytes;
    let is_right = match &expected.body {
        Arrives::Whole(bytes) => heard.is_whole() && body == bytes,
        Arrives::Bytes(bytes) => body == bytes,
        Arrives::Never => !heard.is_whole(),
        Arrives::Anything => true,
    };
    if !is_right {
        problems.push(format!("expected of its body {:?}, seen the end {:?}", expected.body, heard.end));
    }
    let trailers: Vec<String> =
        heard.body.trailers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    if trailers != expected.trailers {
        problems.push(format!("expected the trailers {:?}, seen {trailers:?}", expected.trailers));
    }
    problems
}

/// The lines of an expected head: the first one, then the fields in the order of their names.
fn normal(head: &str) -> Vec<String> {
    let mut lines: Vec<String> = head
        .lines()
        .skip(1)
        .map(|line| {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            format!("{}: {}", name.to_ascii_lowercase(), value.trim_matches([' ', '\t']))
        })
        .collect();
    lines.sort_by(|a, b| a.split(':').next().cmp(&b.split(':').next()));
    lines.insert(0, head.lines().next().unwrap_or_default().to_owned());
    lines
}

/// The same of a head that came, without what the proxy adds and `expected` is silent about.
fn normal_head(head: &Head, expected: &str) -> Vec<String> {
    let expected = expected.to_ascii_lowercase();
    let is_named = |name: &str| expected.contains(&format!("\n{name}:"));
    let fields = head.fields.iter().filter(|(name, _)| !ADDED.contains(&name.as_str()) || is_named(name));
    let lines: Vec<String> = fields.map(|(name, value)| format!("{name}: {value}")).collect();
    normal(&format!("{}\n{}", head.start, lines.join("\n")))
}
