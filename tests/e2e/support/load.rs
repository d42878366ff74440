//! Load whose every answer is checked: its status, its body, and that its session stays on one version.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::http::{Answer, Connection, Request};
use super::wait::within;

/// Requests of one session, after which its connection's next visitor begins.
const REQUESTS_PER_SESSION: u32 = 20;
/// Failures that are kept as examples.
const EXAMPLES: usize = 8;
/// Longest wait for one answer. A hanging request is a failed one.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// Running load.
#[derive(Debug)]
pub(crate) struct Load {
    shared: Arc<Shared>,
    clients: JoinSet<()>,
    started: Instant,
}

/// What the load met.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) requests: u64,
    pub(crate) sessions: u64,
    /// Sessions whose first answer could be held against the version that was active at the time.
    pub(crate) judged: u64,
    pub(crate) seconds: f64,
    pub(crate) failed: u64,
    /// Answers of another version than the session's.
    pub(crate) mixed: u64,
    /// First answers of another version than the active one, while no flip was going on.
    pub(crate) late: u64,
    pub(crate) examples: Vec<String>,
    pub(crate) by_version: BTreeMap<String, u64>,
}

/// Which version new sessions must get, as far as whoever flips knows: nothing between a call and its answer.
#[derive(Debug, Default)]
struct Active {
    /// Grows at the start and at the end of each change; odd while one goes on.
    change: AtomicU64,
    version: Mutex<Option<String>>,
}

#[derive(Debug)]
struct Shared {
    address: SocketAddr,
    pace: Duration,
    stop: AtomicBool,
    active: Active,
    requests: AtomicU64,
    sessions: AtomicU64,
    judged: AtomicU64,
    failed: AtomicU64,
    mixed: AtomicU64,
    late: AtomicU64,
    examples: Mutex<Vec<String>>,
    by_version: Mutex<BTreeMap<String, u64>>,
}

impl Load {
    /// Starts so many keep-alive connections, each with one visitor after the other, as fast as they can.
    pub(crate) fn start(address: SocketAddr, connections: usize) -> Self {
        Self::start_paced(address, connections, Duration::ZERO)
    }

    /// The same, but each connection begins a request once in `pace` at most, on average.
    pub(crate) fn start_paced(address: SocketAddr, connections: usize, pace: Duration) -> Self {
        let shared = Arc::new(Shared {
            address,
            pace,
            stop: AtomicBool::new(false),
            active: Active::default(),
            requests: AtomicU64::new(0),
            sessions: AtomicU64::new(0),
            judged: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            mixed: AtomicU64::new(0),
            late: AtomicU64::new(0),
            examples: Mutex::default(),
            by_version: Mutex::default(),
        });
        let mut clients = JoinSet::new();
        for _ in 0..connections {
            clients.spawn(client(Arc::clone(&shared)));
        }
        Self { shared, clients, started: Instant::now() }
    }

    /// Makes a change after which new sessions must get `version`, until the next change begins.
    pub(crate) async fn change<T>(&self, version: &str, change: impl Future<Output = T>) -> T {
        let active = &self.shared.active;
        active.change.fetch_add(1, Ordering::SeqCst);
        let done = change.await;
        *active.version.lock().unwrap() = Some(version.to_owned());
        active.change.fetch_add(1, Ordering::SeqCst);
        done
    }

    /// Answers so far.
    pub(crate) fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
    }

    /// Waits until that many more requests were answered.
    pub(crate) async fn go_on(&self, requests: u64) {
        let target = self.requests() + requests;
        super::wait::until(&format!("{requests} more requests were answered"), async || {
            (self.requests() >= target).then_some(())
        })
        .await;
    }

    /// Lets every visitor finish, and answers what they met.
    pub(crate) async fn stop(mut self) -> Report {
        self.shared.stop.store(true, Ordering::Relaxed);
        let seconds = self.started.elapsed().as_secs_f64();
        within("the end of the load", async { while self.clients.join_next().await.is_some() {} }).await;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Report {
            requests: count(&self.shared.requests),
            sessions: count(&self.shared.sessions),
            judged: count(&self.shared.judged),
            seconds,
            failed: count(&self.shared.failed),
            mixed: count(&self.shared.mixed),
            late: count(&self.shared.late),
            examples: self.shared.examples.lock().unwrap().clone(),
            by_version: self.shared.by_version.lock().unwrap().clone(),
        }
    }
}

impl Report {
    /// Nothing failed, no session saw two versions, and no new one got a version that was not active.
    pub(crate) fn assert_flawless(&self) {
        let flaws = (self.failed, self.mixed, self.late);
        assert_eq!(
            flaws,
            (0, 0, 0),
            "failed, mixed, late; for example\n{}\n{self:#?}",
            self.examples.join("\n")
        );
        assert!(self.requests > 0 && self.sessions > 0, "{self:#?}");
    }

    pub(crate) fn per_second(&self) -> f64 {
        // Counts of a test run are far below 2^52.
        f64::from(u32::try_from(self.requests).unwrap_or(u32::MAX)) / self.seconds
    }
}

impl Active {
    /// The version that new sessions must get, and the number of the change that made it so.
    fn settled(&self) -> Option<(u64, String)> {
        let change = self.change.load(Ordering::SeqCst);
        let version = self.version.lock().unwrap().clone();
        let is_settled = change.is_multiple_of(2) && change == self.change.load(Ordering::SeqCst);
        version.filter(|_| is_settled).map(|version| (change, version))
    }
}

impl Shared {
    fn failure(&self, counter: &AtomicU64, example: String) {
        counter.fetch_add(1, Ordering::Relaxed);
        let mut examples = self.examples.lock().unwrap();
        if examples.len() < EXAMPLES {
            examples.push(example);
        }
    }

    /// The version of a good answer.
    fn check(&self, asked: std::io::Result<Answer>) -> Option<(Answer, String)> {
        let answer = match asked {
            Ok(answer) => answer,
            Err(error) => {
                self.failure(&self.failed, format!("no answer: {error}"));
                return None;
            }
        };
        let text = answer.text();
        let version = text.strip_prefix("version ").and_then(|rest| rest.strip_suffix('\n'));
        match version {
            Some(version) if answer.status() == 200 && answer.field("x-app-version") == Some(version) => {
                let version = version.to_owned();
                Some((answer, version))
            }
            _ => {
                self.failure(&self.failed, format!("{answer:?}"));
                None
            }
        }
    }
}

/// One connection with its visitors, until the load stops.
async fn client(shared: Arc<Shared>) {
    let mut client = Client { connection: None, due: Instant::now() };
    let mut seen = BTreeMap::<String, u64>::new();
    while !shared.stop.load(Ordering::Relaxed) {
        visit(&shared, &mut client, &mut seen).await;
    }
    let mut all = shared.by_version.lock().unwrap();
    for (version, count) in seen {
        *all.entry(version).or_default() += count;
    }
}

/// What outlives a session: the connection, and when its next request is due.
#[derive(Debug)]
struct Client {
    connection: Option<Connection>,
    due: Instant,
}

/// One session. A failure ends it, and its connection too.
async fn visit(shared: &Shared, client: &mut Client, seen: &mut BTreeMap<String, u64>) {
    shared.sessions.fetch_add(1, Ordering::Relaxed);
    let mut before = None;
    let mut request = Request::get("/set-header");
    let mut versions = BTreeSet::new();
    for number in 0..REQUESTS_PER_SESSION {
        tokio::time::sleep_until(client.due.into()).await;
        client.due += shared.pace;
        if number == 0 {
            before = shared.active.settled();
        }
        let asked = ask(shared.address, &mut client.connection, &request).await;
        shared.requests.fetch_add(1, Ordering::Relaxed);
        let Some((answer, version)) = shared.check(asked) else {
            client.connection = None;
            return;
        };
        if number == 0 {
            judge(shared, before.as_ref(), &version);
        }
        match answer.set_cookie("cutover").and_then(|cookie| cookie.split(';').next()) {
            Some(pin) => request = Request::get("/set-header").field("Cookie", pin),
            None if number == 0 => return shared.failure(&shared.failed, format!("no pin: {answer:?}")),
            None => {}
        }
        *seen.entry(version.clone()).or_default() += 1;
        versions.insert(version);
        if versions.len() > 1 {
            return shared
                .failure(&shared.mixed, format!("one session saw {versions:?} at request {number}"));
        }
        if shared.stop.load(Ordering::Relaxed) {
            return;
        }
    }
}

/// A first answer counts if the same version was active from before the request until after the answer.
fn judge(shared: &Shared, before: Option<&(u64, String)>, version: &str) {
    let (Some(before), Some(after)) = (before, shared.active.settled()) else { return };
    if *before != after {
        return;
    }
    shared.judged.fetch_add(1, Ordering::Relaxed);
    if after.1 != version {
        shared.failure(&shared.late, format!("a new session got {version} while {} was active", after.1));
    }
}

async fn ask(
    address: SocketAddr,
    connection: &mut Option<Connection>,
    request: &Request,
) -> std::io::Result<Answer> {
    let open = match &mut *connection {
        Some(connection) => connection,
        empty => empty.insert(Connection::try_open(address).await?),
    };
    let asked = tokio::time::timeout(ANSWER_LIMIT, open.try_ask(request)).await;
    let answer = asked.map_err(std::io::Error::from)??;
    if answer.field("connection").is_some_and(|options| options.eq_ignore_ascii_case("close")) {
        *connection = None;
    }
    Ok(answer)
}
