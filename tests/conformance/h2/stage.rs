//! Where cases of HTTP/2 are played: a client of frames, a proxy, and the scripted upstream of the other table.

use std::net::SocketAddr;

use super::backend::{self, Backend, Script};
use super::client::{Client, PLAIN};
use super::link::Link;
use crate::case::{Case, section};
use crate::client::ask_marker;
use crate::cut::Cut;
use crate::proxy::{Config, Proxy};
use crate::stage;
use crate::upstream::Upstream;

/// Proxies that share the cases of an area.
const LANES: usize = 2;
/// Cases that are worth a proxy.
const LANE_MIN: usize = 20;

/// A part of the table: cases that are played on one proxy.
pub(crate) struct Area {
    pub(crate) config: Config,
    pub(crate) cases: Vec<H2Case>,
}

/// One case: what the upstream does and must get, and what the client does and judges.
pub(crate) struct H2Case {
    pub(crate) case: Case,
    play: Box<Play>,
}

type Play = dyn Fn(&mut Scene<'_>) -> Result<(), String> + Send + Sync;

/// What a case has to play with.
pub(crate) struct Scene<'a> {
    pub(crate) client: Client,
    pub(crate) proxy: &'a Proxy,
    pub(crate) upstream: &'a Upstream,
    cut: Cut,
    has_tls: bool,
}

impl Scene<'_> {
    /// A connection on which nothing was said.
    pub(crate) fn link(&self) -> Result<Link, String> {
        connect(self.proxy, self.has_tls, self.cut)
    }

    /// Another client, which says this of itself.
    pub(crate) fn client_with(&self, settings: &[(u16, u32)]) -> Result<Client, String> {
        Client::greet(self.link()?, settings)
    }
}

/// A case for a client with a connection of its own.
pub(crate) fn plays(
    case: Case,
    play: impl Fn(&mut Scene<'_>) -> Result<(), String> + Send + Sync + 'static,
) -> H2Case {
    H2Case { case, play: Box::new(play) }
}

/// Cases with a backend of HTTP/2: what it answers, and what a client in front of the proxy does and judges.
pub(crate) struct BackendCase {
    pub(crate) name: String,
    script: Script,
    play: Box<BackendPlay>,
}

type BackendPlay = dyn Fn(&mut Client, &Backend) -> Result<(), String> + Send + Sync;

/// A case for a client and a backend of HTTP/2.
pub(crate) fn answered(
    name: impl Into<String>,
    script: Script,
    play: impl Fn(&mut Client, &Backend) -> Result<(), String> + Send + Sync + 'static,
) -> BackendCase {
    BackendCase { name: name.into(), script, play: Box::new(play) }
}

/// Plays cases with a backend of HTTP/2, and fails with a list of all that went wrong.
pub(crate) fn play_answered(cases: &[BackendCase]) {
    let backend = Backend::start();
    let config = Config { service: "upstream.protocol = \"h2c\"", ..Config::default() };
    let proxy = Proxy::start(config, backend.address(), |address| ask_marker_of_h2(address).is_ok());
    let mut failures = Vec::new();
    for case in cases {
        backend.begin(&case.script);
        let mut played = Link::connect(proxy.address(), Cut::Whole)
            .and_then(|link| Client::greet(link, &PLAIN))
            .and_then(|mut client| (case.play)(&mut client, &backend));
        let (heard, faults) = backend.end();
        if played.is_ok() && !faults.is_empty() {
            played = Err(format!("what the proxy sent: {faults:?}"));
        }
        backend.begin(&Script::new(|link, request| {
            backend::answer(link, request.stream, &[(":status", "200")], "ok");
        }));
        let played = played.and_then(|()| {
            ask_marker_of_h2(proxy.address()).map_err(|problem| format!("after the case: {problem}"))
        });
        if let Err(problem) = played {
            let (rfc, section) = section(&case.name).unwrap_or_default();
            failures.push(format!(
                "{}\n  RFC {rfc} section {section}\n  {problem}\n  the backend heard {heard:?}",
                case.name
            ));
        }
    }
    let (failed, all) = (failures.len(), cases.len());
    assert!(failures.is_empty(), "{failed} of {all} cases fail:\n{}\n", failures.join("\n"));
}

fn ask_marker_of_h2(address: SocketAddr) -> Result<(), String> {
    Client::greet(Link::connect(address, Cut::Whole)?, &PLAIN)?.serves()
}

impl H2Case {
    /// A request may have begun upstream before the client did wrong.
    pub(crate) fn forwarding_begun(mut self) -> Self {
        self.case = self.case.forwards_never_whole("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked");
        self
    }
}

impl Area {
    /// With a proxy as it comes.
    pub(crate) fn usual(parts: impl IntoIterator<Item = Vec<H2Case>>) -> Self {
        Self::with(Config::default(), parts)
    }

    /// The same cases over TLS.
    pub(crate) fn over_tls(mut self) -> Self {
        self.config.has_tls = true;
        self
    }

    pub(crate) fn with(config: Config, parts: impl IntoIterator<Item = Vec<H2Case>>) -> Self {
        Self { config, cases: parts.into_iter().flatten().collect() }
    }

    /// Plays every case, whole and cut, and fails with a list of all that went wrong.
    pub(crate) fn play(&self) {
        let share = self.cases.len().div_ceil(LANES).max(LANE_MIN);
        let failures: Vec<String> = std::thread::scope(|scope| {
            let lanes: Vec<_> =
                self.cases.chunks(share).map(|cases| scope.spawn(|| play_all(self.config, cases))).collect();
            lanes.into_iter().flat_map(|lane| lane.join().expect("a lane of the stage broke")).collect()
        });
        let (failed, all) = (failures.len(), self.cases.len());
        assert!(failures.is_empty(), "{failed} of {all} cases fail:\n{}\n", failures.join("\n"));
    }
}

fn play_all(config: Config, cases: &[H2Case]) -> Vec<String> {
    let upstream = Upstream::start();
    let is_ready = |address: SocketAddr| ask_marker(address).is_ok();
    let proxy = Proxy::start(config, upstream.address(), is_ready);
    let mut failures = Vec::new();
    for case in cases {
        let [whole, once, .., each_byte] = Cut::all(&case.case.name);
        let ways = if case.case.is_whole_only { vec![whole] } else { vec![whole, once, each_byte] };
        let failed = ways
            .iter()
            .find_map(|&cut| Some((cut, play(case, cut, config.has_tls, &proxy, &upstream).err()?)));
        if let Some((cut, problem)) = failed {
            let (rfc, section) = section(&case.case.name).unwrap_or_default();
            let name = &case.case.name;
            failures.push(format!("{name}\n  RFC {rfc} section {section}, sent {cut:?}\n  {problem}"));
        }
    }
    failures
}

fn play(case: &H2Case, cut: Cut, has_tls: bool, proxy: &Proxy, upstream: &Upstream) -> Result<(), String> {
    stage::play_with(&case.case, cut, proxy, upstream, || {
        let client = Client::greet(connect(proxy, has_tls, cut)?, &PLAIN)?;
        (case.play)(&mut Scene { client, proxy, upstream, cut, has_tls })
    })
}

fn connect(proxy: &Proxy, has_tls: bool, cut: Cut) -> Result<Link, String> {
    match has_tls {
        true => Link::connect_tls(proxy.tls_address(), proxy.certificate(), cut),
        false => Link::connect(proxy.address(), cut),
    }
}
