//! A proxy in this process, over a control state that the test writes by hand.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cutover_core::backend::Weight;
use cutover_core::command::{Change, Command, Configured, Finding, Flip, Found, Registration};
use cutover_core::compile::compile;
use cutover_core::id::{BackendId, ServiceName, VersionLabel};
use cutover_core::pin::PinKey;
use cutover_core::policy::Policy;
use cutover_core::publish::{Publisher, channel};
use cutover_core::schema::SchemaRange;
use cutover_core::snapshot::{ServiceSet, Snapshot};
use cutover_core::state::State;
use cutover_core::time::{Millis, Timestamp};
use cutover_proxy::access_log::{AccessLog, Format};
use cutover_proxy::metrics::Metrics;
use cutover_proxy::trace::SpanSink;
use cutover_proxy::{Handle, Inherited, Limits, ListenerConfig, Network, Proxy, ProxyConfig};
use cutover_resolve::{Dns, Names};
use cutover_vault::Vaults;

use prometheus::Registry;

use crate::client::Client;

/// How long a test waits for something that happens at once unless it is broken.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// What a test changes about the world before it begins.
pub(crate) struct Setup {
    pub(crate) policy: Policy,
    pub(crate) limits: Limits,
    pub(crate) workers: usize,
    pub(crate) listener: ListenerConfig,
    /// Listeners beside that one.
    pub(crate) others: Vec<ListenerConfig>,
    pub(crate) backends: Vec<(&'static str, String, &'static str)>,
    pub(crate) log: Option<Format>,
    pub(crate) spans: Option<SpanSink>,
    pub(crate) vaults: Arc<Vaults>,
}

/// A running proxy with one service, `web`.
pub(crate) struct World {
    pub(crate) address: SocketAddr,
    /// Those of all listeners.
    pub(crate) addresses: Vec<SocketAddr>,
    handle: Option<Handle>,
    registry: Registry,
    publisher: Publisher,
    state: RefCell<State>,
    /// Lines of the access log.
    logged: Arc<Mutex<Vec<u8>>>,
    #[expect(dead_code, reason = "it is held, not read: it ends the log")]
    access_log: Option<AccessLog>,
}

/// Where the access log is written.
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Setup {
    /// A service `web` with these backends: name, address, version.
    pub(crate) fn new(backends: &[(&'static str, &str, &'static str)]) -> Self {
        let mut policy = Policy::default();
        policy.upstream.retry_budget = cutover_core::policy::Share::ALL;
        policy.flip.stable_for = Millis::ZERO;
        let backends = backends.iter().map(|&(id, address, version)| (id, address.to_owned(), version));
        Self {
            policy,
            limits: Limits::default(),
            workers: 1,
            listener: ListenerConfig {
                addresses: vec!["127.0.0.1:0".parse().unwrap()],
                max_connections: 1000,
                ..ListenerConfig::default()
            },
            others: Vec::new(),
            backends: backends.collect(),
            log: None,
            spans: None,
            vaults: Arc::default(),
        }
    }

    pub(crate) fn policy(mut self, change: impl FnOnce(&mut Policy)) -> Self {
        change(&mut self.policy);
        self
    }

    pub(crate) fn limits(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.limits);
        self
    }

    pub(crate) fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    pub(crate) fn listener(mut self, change: impl FnOnce(&mut ListenerConfig)) -> Self {
        change(&mut self.listener);
        self
    }

    pub(crate) fn max_connections(self, max_connections: u32) -> Self {
        self.listener(|listener| listener.max_connections = max_connections)
    }

    /// Trusts whoever connects over loopback.
    pub(crate) fn trusting(self) -> Self {
        let loopback = Network { address: "127.0.0.0".parse().unwrap(), prefix_len: 8 };
        self.listener(|listener| listener.trusted_proxies = vec![loopback])
    }

    pub(crate) fn logging(mut self, format: Format) -> Self {
        self.log = Some(format);
        self
    }

    pub(crate) fn tracing(mut self, spans: SpanSink) -> Self {
        self.spans = Some(spans);
        self
    }

    /// Starts the proxy; every backend was probed and is up.
    pub(crate) fn start(self) -> World {
        let config = ProxyConfig {
            workers: NonZeroUsize::new(self.workers).unwrap(),
            listeners: [vec![self.listener], self.others].concat(),
            limits: self.limits,
            connectors: Arc::default(),
            names: names(),
            tokens: Arc::default(),
            vaults: Arc::clone(&self.vaults),
        };
        let proxy = Proxy::bind(config, &mut Inherited::default()).unwrap().with_spans(self.spans);
        let state = state(self.policy, &self.backends);
        let snapshot = compile(&state, &Snapshot::default());
        let (publisher, readers) = channel(snapshot, proxy.wakes(), Box::new(|| {}));
        let addresses = proxy.addresses().to_vec();
        let address = addresses[0];
        let registry = Registry::new();
        let metrics = Arc::new(Metrics::new(&registry).unwrap());
        let logged = Arc::<Mutex<Vec<u8>>>::default();
        let access_log = self.log.map(|format| {
            AccessLog::start(Shared(Arc::clone(&logged)), format, metrics.access_log_dropped.clone()).unwrap()
        });
        let handle = Some(proxy.start(readers, &metrics, access_log.as_ref()).unwrap());
        World {
            address,
            addresses,
            handle,
            registry,
            publisher,
            state: RefCell::new(state),
            logged,
            access_log,
        }
    }
}

impl World {
    /// A connection to the proxy.
    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// Changes the service and publishes, without waiting for anybody.
    pub(crate) fn change(&self, change: Change) -> u64 {
        self.apply(&Command::Service(service(), change))
    }

    /// Changes the service, and waits until every worker serves it.
    pub(crate) fn changed(&self, change: Change) {
        self.serve(self.change(change));
    }

    fn apply(&self, command: &Command) -> u64 {
        let next = self.state.borrow().apply(command, now()).unwrap();
        let snapshot = compile(&next, &self.publisher.current());
        let generation = snapshot.generation;
        *self.state.borrow_mut() = next;
        self.publisher.publish(Arc::new(snapshot));
        generation
    }

    /// What a probe found out about a backend.
    pub(crate) fn probed(&self, backend: &str, finding: Finding) {
        let backend = BackendId::parse(backend).unwrap();
        let generation = self.state.borrow().services[&service()].backends[&backend].generation;
        let found = Found { service: service(), backend, generation, finding };
        self.serve(self.apply(&Command::Probed(vec![found])));
    }

    /// Makes these the backends, as a configuration that is read again does.
    pub(crate) fn reload(&self, backends: &[(&'static str, String, &'static str)]) {
        let policy = Arc::clone(&self.state.borrow().services[&service()].policy);
        self.serve(self.apply(&configured(policy, backends)));
    }

    /// Flips, and waits until every worker serves it, as the controller does.
    pub(crate) fn flip(&self, to: &str) {
        let to = VersionLabel::parse(to).unwrap();
        self.changed(Change::Flip(Flip { to, if_epoch: None, force: false }));
    }

    fn serve(&self, generation: u64) {
        self.eventually("every worker serves the snapshot", || self.publisher.is_served(generation));
    }

    /// The service as requests see it now.
    pub(crate) fn set(&self) -> Arc<ServiceSet> {
        Arc::clone(&self.publisher.current().services[0])
    }

    /// Requests in flight on a version.
    pub(crate) fn in_flight(&self, version: &str) -> u64 {
        self.set().version(version).unwrap().load().in_flight
    }

    /// Tunnels open on a version.
    pub(crate) fn tunnels(&self, version: &str) -> u64 {
        self.set().version(version).unwrap().load().tunnels
    }

    /// Whether a worker has asked for a decision.
    pub(crate) fn take_alarm(&self) -> bool {
        self.publisher.take_alarm()
    }

    /// The metrics, as they are scraped.
    pub(crate) fn metrics(&self) -> String {
        prometheus::TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap()
    }

    /// What the access log says so far.
    pub(crate) fn logged(&self) -> String {
        String::from_utf8(self.logged.lock().unwrap().clone()).unwrap()
    }

    /// Waits until `is_so`.
    pub(crate) fn eventually(&self, what: &str, is_so: impl Fn() -> bool) {
        let end = Instant::now() + SOON;
        while !is_so() {
            assert!(Instant::now() < end, "not in time: {what}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Asks the proxy to stop within `limit`, without waiting for it.
    pub(crate) fn shutdown(&self, limit: Duration) {
        self.handle.as_ref().unwrap().shutdown(limit);
    }

    /// Lets it end in its own time, as if another process served its sockets.
    pub(crate) fn retire(&self, limit: Duration) {
        self.handle.as_ref().unwrap().retire(limit);
    }

    /// Waits until the proxy has ended; answers how many connections were cut.
    pub(crate) fn ended(mut self) -> u64 {
        let mut handle = self.handle.take().unwrap();
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(handle.ended())
    }
}

impl Write for Shared {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(lines)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(mut handle) = self.handle.take() {
            handle.shutdown(Duration::ZERO);
            tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(handle.ended());
        }
    }
}

/// A probe that succeeded and named this version.
pub(crate) fn up(version: &str) -> Finding {
    Finding::Up { version: Some(VersionLabel::parse(version).unwrap()), boot_id: None }
}

fn service() -> ServiceName {
    ServiceName::parse("web").unwrap()
}

/// The time.
pub(crate) fn now() -> Timestamp {
    Timestamp(u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap())
}

/// The service with these backends, as a configuration file has it.
fn configured(policy: Arc<Policy>, backends: &[(&'static str, String, &'static str)]) -> Command {
    let registrations = backends.iter().map(|(id, address, version)| Registration {
        backend: BackendId::parse(id).unwrap(),
        address: address.parse().unwrap(),
        version: Some(VersionLabel::parse(version).unwrap()),
        weight: Weight::new(1).unwrap(),
        ttl: None,
        boot_id: None,
        zone: None,
        schema: SchemaRange::ANY,
        metadata: BTreeMap::new(),
    });
    Command::Configure(vec![Configured { name: service(), policy, backends: registrations.collect() }])
}

fn state(policy: Policy, backends: &[(&'static str, String, &'static str)]) -> State {
    let web = configured(Arc::new(policy), backends);
    let key = PinKey { id: 1, secret: [7; 32], made_at: now() };
    let mut state = [Command::AddPinKey(key), web]
        .iter()
        .fold(State::default(), |state, command| state.apply(command, now()).unwrap());
    for (id, _, version) in backends {
        let backend = BackendId::parse(id).unwrap();
        let found = Found { service: service(), backend, generation: 1, finding: up(version) };
        state = state.apply(&Command::Probed(vec![found]), now()).unwrap();
    }
    state
}

/// Names as the system resolves them, for as long as the proxy is there.
fn names() -> Names {
    let (names, keeper) = Names::new(Dns::system());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    std::thread::spawn(move || runtime.block_on(keeper.run()));
    names
}
