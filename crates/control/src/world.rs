//! The world that tests of the control plane act in: a controller, its store, a worker, and a time that they set.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cutover_core::backend::Weight;
use cutover_core::command::{Change, Command, Finding, Flip, Found, Registration};
use cutover_core::id::{BackendId, ServiceName, VersionLabel};
use cutover_core::policy::Policy;
use cutover_core::publish::{SnapshotReader, channel};
use cutover_core::schema::SchemaRange;
use cutover_core::service::Service;
use cutover_core::snapshot::Snapshot;
use cutover_core::time::{Millis, Timestamp};

use crate::controller::{Controller, Parts};
use crate::error::{LoadError, SubmitError};
use crate::handle::{Done, Request};
use crate::metrics::Metrics;
use crate::store::{MemoryStore, OperationId, Store};
use crate::timeline::Actor;

pub(crate) struct World {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) controller: Controller,
    pub(crate) worker: SnapshotReader,
    pub(crate) now: Timestamp,
}

impl World {
    /// A world over an empty store in memory.
    pub(crate) async fn new() -> Self {
        Self::over(Arc::new(MemoryStore::new())).await
    }

    /// A world in which cutover starts over `store`, without a configuration file.
    pub(crate) async fn over(store: Arc<dyn Store>) -> Self {
        let now = Timestamp::from_secs(1_700_000_000);
        let (controller, worker) = load(&store, now).await.expect("a readable store");
        let mut world = Self { store, controller, worker, now };
        world.submit(Command::Configure(Vec::new())).await.expect("an empty configuration is accepted");
        world
    }

    /// Ends cutover and starts it again, one second later.
    pub(crate) async fn restart(&mut self) {
        self.now = self.now + Millis(1000);
        (self.controller, self.worker) = load(&self.store, self.now).await.expect("a readable store");
        self.submit(Command::Configure(Vec::new())).await.expect("an empty configuration is accepted");
    }

    pub(crate) async fn submit(&mut self, command: Command) -> Result<Done, SubmitError> {
        self.request(Request::new(command, Actor { name: "tester".to_owned(), remote: None })).await
    }

    pub(crate) async fn request(&mut self, request: Request) -> Result<Done, SubmitError> {
        let outcome = self.controller.handle(request, self.now).await;
        self.serve();
        outcome
    }

    pub(crate) async fn change(&mut self, change: Change) -> Result<Done, SubmitError> {
        self.submit(Command::Service(web(), change)).await
    }

    /// The worker takes the latest snapshot over.
    pub(crate) fn serve(&self) -> Arc<Snapshot> {
        let snapshot = self.worker.load();
        self.worker.serve(snapshot.generation);
        snapshot
    }

    /// Lets time pass in one tick.
    pub(crate) async fn pass(&mut self, span: Millis) {
        self.now = self.now + span;
        self.controller.tick(self.now).await;
        self.serve();
    }

    /// Puts the service `web`.
    pub(crate) async fn put_web(&mut self) -> Result<Done, SubmitError> {
        let command = Command::PutService {
            service: web(),
            policy: Arc::new(Policy::default()),
            document: "{}".into(),
        };
        self.submit(command).await
    }

    pub(crate) async fn register(&mut self, backend: &str, version: &str) -> Result<Done, SubmitError> {
        self.change(Change::Register(registration(backend, version))).await
    }

    /// A probe finds the backend up, in this version.
    pub(crate) async fn up(&mut self, backend: &str, version: &str) {
        let version = Some(VersionLabel::parse(version).expect("a label"));
        self.found(backend, Finding::Up { version, boot_id: None }).await;
    }

    pub(crate) async fn found(&mut self, backend: &str, finding: Finding) {
        let generation = self.web().backends[&id(backend)].generation;
        let found = Found { service: web(), backend: id(backend), generation, finding };
        self.controller.found(vec![found], self.now).await;
        self.serve();
    }

    pub(crate) async fn flip(&mut self, to: &str) -> Result<Done, SubmitError> {
        let flip = Flip { to: label(to), if_epoch: None, force: true };
        self.change(Change::Flip(flip)).await
    }

    pub(crate) fn web(&self) -> &Arc<Service> {
        &self.controller.state().services[&web()]
    }

    pub(crate) fn active(&self) -> Option<&str> {
        self.web().active.as_ref().map(VersionLabel::as_str)
    }

    /// A world with `a` up in v1, which is active, and `b` up in v2, which is staged.
    pub(crate) async fn with_two_versions(store: Arc<dyn Store>) -> Self {
        let mut world = Self::over(store).await;
        world.put_web().await.expect("a service");
        for (backend, version) in [("a", "v1"), ("b", "v2")] {
            world.register(backend, version).await.expect("a backend");
            world.up(backend, version).await;
        }
        assert_eq!(world.active(), Some("v1"));
        world
    }
}

/// Commits so far, of all worlds: several may share a store.
static OPERATIONS: AtomicU64 = AtomicU64::new(0);

pub(crate) async fn load(
    store: &Arc<dyn Store>,
    now: Timestamp,
) -> Result<(Controller, SnapshotReader), LoadError> {
    load_dated(store, Some(now), now).await
}

/// The same, given what is known of the latest date of pins.
pub(crate) async fn load_dated(
    store: &Arc<dyn Store>,
    latest_pin: Option<Timestamp>,
    now: Timestamp,
) -> Result<(Controller, SnapshotReader), LoadError> {
    let (publisher, mut readers) = channel(Snapshot::default(), vec![Box::new(|| {})], Box::new(|| {}));
    let parts = Parts {
        store: Arc::clone(store),
        publisher,
        read_policy: |_, document| match document {
            "{}" => Ok(Arc::new(Policy::default())),
            other => Err(format!("{other:?} is no service")),
        },
        draw_operation: Box::new(|| OperationId(u128::from(OPERATIONS.fetch_add(1, Ordering::Relaxed)))),
        metrics: Metrics::unregistered().expect("nothing else is registered"),
        latest_pin,
    };
    let controller = Controller::load(parts, now).await?;
    Ok((controller, readers.pop().expect("one reader")))
}

pub(crate) fn web() -> ServiceName {
    ServiceName::parse("web").expect("a name")
}

pub(crate) fn id(name: &str) -> BackendId {
    BackendId::parse(name).expect("a name")
}

pub(crate) fn label(text: &str) -> VersionLabel {
    VersionLabel::parse(text).expect("a label")
}

pub(crate) fn registration(backend: &str, version: &str) -> Registration {
    Registration {
        backend: id(backend),
        address: "127.0.0.1:80".parse().expect("an address"),
        version: Some(label(version)),
        weight: Weight::ONE,
        ttl: None,
        boot_id: None,
        zone: None,
        schema: SchemaRange::ANY,
        metadata: BTreeMap::new(),
    }
}
