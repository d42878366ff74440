//! The running control plane, from its handle.

use std::net::TcpListener;
use std::thread;

use cutover_core::command::{Change, Flip, Registration};
use cutover_core::policy::{HealthPolicy, Policy, ProbeProtocol};
use cutover_core::publish::{SnapshotReader, channel};
use cutover_core::snapshot::Snapshot;

use super::*;
use crate::event_log::Delivery;
use crate::store::{MemoryStore, RedbStore};
use crate::world::{label, registration, web};

/// A running control plane with two workers, which take snapshots over when a test says so.
async fn running(store: Arc<dyn Store>) -> (Running, Vec<SnapshotReader>) {
    running_in(None, store).await
}

/// The same, with a directory for what is kept beside the store.
async fn running_in(state_dir: Option<PathBuf>, store: Arc<dyn Store>) -> (Running, Vec<SnapshotReader>) {
    let wake = Arc::new(Notify::new());
    let notified = Arc::clone(&wake);
    let (publisher, readers) = channel(
        Snapshot::default(),
        vec![Box::new(|| {}), Box::new(|| {})],
        Box::new(move || notified.notify_one()),
    );
    let settings = Settings {
        node: "lb-1".to_owned(),
        store,
        store_kind: "memory",
        state_dir,
        publisher,
        wake,
        clock: Clock::start(),
        read_policy: |_, _| Ok(Arc::default()),
        registry: Registry::new(),
        connectors: Arc::default(),
        names: Names::default(),
    };
    (start(settings).await.expect("it starts"), readers)
}

fn request(command: Command) -> Request {
    Request::new(command, Actor::config())
}

/// Lets a worker take over every snapshot after a delay, until it is told to end by dropping the sender.
fn work(reader: SnapshotReader, delay: Duration) -> std::sync::mpsc::Sender<()> {
    let (end, ended) = std::sync::mpsc::channel::<()>();
    thread::spawn(move || {
        let timeout = delay.max(Duration::from_micros(200));
        while ended.recv_timeout(timeout) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            reader.serve(reader.load().generation);
        }
    });
    end
}

async fn configure(control: &Control) {
    control.submit(request(Command::Configure(Vec::new()))).await.expect("an empty configuration");
}

async fn put_web(control: &Control) -> Done {
    let health = HealthPolicy { protocol: ProbeProtocol::Tcp, ..HealthPolicy::default() };
    let policy = Arc::new(Policy { health, ..Policy::default() });
    let put = Command::PutService { service: web(), policy, document: "{}".into() };
    control.submit(request(put)).await.expect("a service")
}

#[tokio::test]
async fn it_is_ready_when_it_is_configured_and_served() {
    let (running, mut readers) = running(Arc::new(MemoryStore::new())).await;
    let control = running.control();
    let early = control.submit(request(Command::RemoveService(web()))).await;
    assert!(matches!(early, Err(SubmitError::Starting)));
    assert!(!control.is_ready());

    let _workers: Vec<_> = readers.drain(..).map(|reader| work(reader, Duration::ZERO)).collect();
    configure(&control).await;

    assert!(control.is_ready());
    assert_eq!(control.current().state.pin_keys.len(), 1, "pins could not be signed");
    running.stop().await;
}

#[tokio::test]
async fn how_pins_are_dated_is_kept_for_the_next_process() {
    let store = Arc::new(MemoryStore::new());
    let dir = tempfile::tempdir().expect("a directory");
    let file = DatesFile::in_dir(dir.path());
    let ahead = async || {
        let (running, _) = running_in(Some(dir.path().to_owned()), Arc::<MemoryStore>::clone(&store)).await;
        let ahead = running.control().current().state.ahead;
        running.stop().await;
        ahead.0 / 1000
    };
    assert_eq!(ahead().await, 0, "nobody was there before");
    assert_eq!(ahead().await, 0, "nobody has set the clock");

    let seen = clock::moment();
    let dates = PinDates::new(seen.wall + Millis::from_secs(100), seen);
    file.write(&dates).expect("a file");
    assert!((99..=100).contains(&ahead().await), "the clock was set back");
    assert!((98..=100).contains(&ahead().await), "and it still was when it started again");

    std::fs::write(dir.path().join("pin-dates.json"), "{").expect("a file");
    assert_eq!(ahead().await, 300, "nobody knows");
}

#[tokio::test]
async fn an_answer_waits_for_the_slowest_worker() {
    let (running, mut readers) = running(Arc::new(MemoryStore::new())).await;
    let control = running.control();
    let _slow = work(readers.pop().expect("a reader"), Duration::from_millis(50));
    let _quick = work(readers.pop().expect("a reader"), Duration::ZERO);
    configure(&control).await;

    let began = Instant::now();
    let done = put_web(&control).await;

    assert!(began.elapsed() > Duration::from_millis(5), "answered before the slow worker served it");
    assert!(control.current().snapshot.generation >= done.generation);
    running.stop().await;
}

#[tokio::test]
async fn a_worker_that_ended_is_not_waited_for() {
    let (running, mut readers) = running(Arc::new(MemoryStore::new())).await;
    drop(readers.pop());
    let _worker = work(readers.pop().expect("a reader"), Duration::ZERO);
    configure(&running.control()).await;
    running.stop().await;
}

#[tokio::test]
async fn a_worker_that_hangs_is_named_and_the_change_stays() {
    let (running, readers) = running(Arc::new(MemoryStore::new())).await;
    let control = running.control();

    let outcome = control.submit(request(Command::Configure(Vec::new()))).await;

    assert!(matches!(outcome, Err(SubmitError::NotServed { .. })), "{outcome:?}");
    assert!(control.current().snapshot.generation > 0);
    drop(readers);
    running.stop().await;
}

#[tokio::test]
async fn whoever_waits_for_a_state_is_woken_by_it() {
    let (running, mut readers) = running(Arc::new(MemoryStore::new())).await;
    let control = running.control();
    let _workers: Vec<_> = readers.drain(..).map(|reader| work(reader, Duration::ZERO)).collect();
    configure(&control).await;
    let waiting = tokio::spawn({
        let control = control.clone();
        async move { control.wait_until(|current| current.state.services.contains_key(&web())).await }
    });
    let mut events = control.events(None);

    let done = put_web(&control).await;

    let reached = waiting.await.expect("no panic").expect("reached");
    assert_eq!(reached.revision, done.revision);
    let Some(Delivery::Entry(entry)) = events.next().await else { panic!("an event") };
    assert_eq!((entry.kind.as_ref(), entry.actor.name.as_str()), ("service_added", "config"));
    running.stop().await;
    assert_eq!(events.next().await, None);
    assert!(matches!(control.wait_until(|_| false).await, Err(SubmitError::Stopped)));
    assert!(matches!(
        control.submit(request(Command::RemoveService(web()))).await,
        Err(SubmitError::Stopped)
    ));
}

/// A backend whose probes succeed as long as the listener lives.
fn backend(name: &str, version: &str) -> (TcpListener, Registration) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string().parse().expect("an address");
    (listener, Registration { address, ..registration(name, version) })
}

async fn register(control: &Control, said: Registration) {
    let id = said.backend.clone();
    let register = Command::Service(web(), Change::Register(said));
    control.submit(request(register)).await.expect("a backend");
    let up = control.wait_until(|current| current.state.services[&web()].backends[&id].is_usable());
    tokio::time::timeout(Duration::from_secs(10), up).await.expect("in time").expect("running");
}

#[tokio::test]
async fn an_alarm_is_acted_on_at_once() {
    let (running, mut readers) = running(Arc::new(MemoryStore::new())).await;
    let control = running.control();
    let watcher = readers.pop().expect("a reader");
    watcher.serve(u64::MAX - 1);
    let _worker = work(readers.pop().expect("a reader"), Duration::ZERO);
    configure(&control).await;
    put_web(&control).await;
    let (_listener, said) = backend("a", "v1");
    register(&control, said).await;

    let began = Instant::now();
    for _ in 0..20 {
        let usable = control.wait_until(|current| current.snapshot.services[0].backends[0].is_sendable());
        let entry = Arc::clone(&usable.await.expect("running").snapshot.services[0].backends[0]);
        entry.traffic.note_identity_lost(entry.generation);
        watcher.alarm();
        let renewed = control
            .wait_until(|current| current.snapshot.services[0].backends[0].generation > entry.generation);
        renewed.await.expect("running");
        let known = control.wait_until(|current| {
            current.state.services[&web()].backends.values().all(|backend| backend.is_usable())
        });
        tokio::time::timeout(Duration::from_secs(10), known).await.expect("in time").expect("running");
    }

    // By ticks alone each round would take a tenth of a second, since it begins just after one.
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    running.stop().await;
}

#[tokio::test]
async fn flips_over_a_file_stay_fast_while_others_ask_as_well() {
    const FLIPS: usize = 200;
    let directory = tempfile::tempdir().expect("a directory");
    let store = RedbStore::open(directory.path()).expect("a new store");
    let (running, mut readers) = running(Arc::new(store)).await;
    let control = running.control();
    let _workers: Vec<_> = readers.drain(..).map(|reader| work(reader, Duration::ZERO)).collect();
    configure(&control).await;
    put_web(&control).await;
    let backends = [backend("a", "v1"), backend("b", "v2")];
    for (_, said) in &backends {
        register(&control, said.clone()).await;
    }
    let beat = Change::Heartbeat { backend: backends[0].1.backend.clone(), version: None, boot_id: None };
    let others = tokio::spawn({
        let control = control.clone();
        async move {
            loop {
                drop(control.submit(request(Command::Service(web(), beat.clone()))).await);
            }
        }
    });

    let mut took = Vec::with_capacity(FLIPS);
    for turn in 0..FLIPS {
        let flip = Flip { to: label(if turn % 2 == 0 { "v2" } else { "v1" }), if_epoch: None, force: true };
        let began = Instant::now();
        let done = control.submit(request(Command::Service(web(), Change::Flip(flip)))).await;
        done.expect("a forced flip");
        took.push(began.elapsed());
    }
    others.abort();
    took.sort_unstable();
    println!("flips: p50 {:?}, p99 {:?}", took[FLIPS / 2], took[FLIPS * 99 / 100]);
    // Far above what it takes, far below what a wait for a tick or a timeout would: the machine may be busy.
    assert!(took[FLIPS / 2] < Duration::from_millis(50), "{:?}", took[FLIPS / 2]);
    running.stop().await;
}
