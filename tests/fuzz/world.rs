//! The engine between a client and a backend, all in one thread, so that what happens depends on the input alone.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;

use cutover_core::backend::Weight;
use cutover_core::command::{Command, Configured, Finding, Found, Registration};
use cutover_core::compile::compile;
use cutover_core::id::{BackendId, ServiceName, VersionLabel};
use cutover_core::policy::{IdentityPolicy, IdentitySource, Policy};
use cutover_core::schema::SchemaRange;
use cutover_core::snapshot::Snapshot;
use cutover_core::state::State;
use cutover_core::time::Timestamp;
use cutover_proxy::Limits;
use cutover_proxy::fuzzing::engine::Engine;
use cutover_proxy::fuzzing::{COUNT_MAX, FIELDS_MAX, LINE_MAX};
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::task::{self, yield_now};

use crate::app::{self, App};
use crate::message::Message;

/// Bytes of a body.
pub const BODY_MAX: u64 = 500;
/// Pieces in which something is sent. What is left then comes at once: each of them costs a look at all sockets.
const PIECES_MAX: usize = 80;
/// So many looks at all sockets without a byte on any of them: everybody waits for the client.
const QUIET_LOOKS: usize = 5;
/// So many looks, and somebody waits for what never comes.
const LOOKS_MAX: usize = 2000;

pub struct World {
    runtime: LocalRuntime,
    engine: Engine,
    app: Rc<App>,
}

/// What came of a stream of requests.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// All that came back.
    pub answers: Vec<u8>,
    /// Whether the connection was closed before the client did it.
    pub is_closed: bool,
    /// The requests that reached the backend.
    pub forwarded: Vec<Message>,
}

impl World {
    pub fn new() -> Option<Self> {
        let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).ok()?;
        let path = std::env::temp_dir().join(format!("cutover-fuzz-{}", std::process::id()));
        // One that had the same number left it.
        _ = std::fs::remove_file(&path);
        let app = Rc::<App>::default();
        runtime.block_on(async {
            let listener = tokio::net::UnixListener::bind(&path).ok()?;
            task::spawn_local(app::accept(Rc::clone(&app), listener));
            Some(())
        })?;
        let limits = Limits {
            request_line: LINE_MAX,
            headers: FIELDS_MAX,
            header_count: COUNT_MAX,
            body: Some(BODY_MAX),
            ..Limits::default()
        };
        let engine = Engine::new(snapshot(path.to_str()?)?, limits).ok()?;
        Some(Self { runtime, engine, app })
    }

    /// Sends `input` in pieces of so many bytes as `cuts` says over and over, waits for all that comes of it, and then ends the stream.
    pub fn serve(&self, input: &[u8], cuts: &[usize]) -> Outcome {
        self.runtime.block_on(async {
            let Ok((client, served)) = UnixStream::pair() else { panic!("no sockets") };
            _ = (client.set_nonblocking(true), served.set_nonblocking(true));
            let Ok(served) = tokio::net::UnixStream::from_std(served) else { panic!("no socket") };
            let serving = task::spawn_local(self.engine.serve(served));
            let mut client = Client { stream: client, answers: Vec::new(), is_closed: false };

            for piece in pieces(input, cuts) {
                // It may have closed already.
                _ = client.stream.write(piece);
                yield_now().await;
            }
            self.settle(&mut client).await;
            let is_closed = client.is_closed;
            _ = client.stream.shutdown(Shutdown::Write);
            for look in 0.. {
                if serving.is_finished() && self.app.begun.get() == 0 {
                    break;
                }
                assert!(look < LOOKS_MAX, "it does not end");
                yield_now().await;
            }
            assert!(serving.await.is_ok(), "it panics");
            client.look();
            Outcome { answers: client.answers, is_closed, forwarded: self.app.got.take() }
        })
    }

    /// Sends `request`, to which the backend says `answer` in pieces and then closes its connection. What came of it.
    pub fn answer(&self, request: &[u8], answer: &[u8], cuts: &[usize]) -> Outcome {
        let says = pieces(answer, cuts).map(<[u8]>::to_vec).collect();
        self.app.says.replace(Some(says));
        self.serve(request, &[])
    }

    /// Waits until nobody does anything any more.
    async fn settle(&self, client: &mut Client) {
        let (mut seen, mut quiet) = ((0, 0, false), 0);
        while quiet < QUIET_LOOKS {
            // All sockets are looked at before it goes on here.
            yield_now().await;
            client.look();
            let now = (self.app.seen.get(), client.answers.len(), client.is_closed);
            quiet = if now == seen { quiet + 1 } else { 0 };
            seen = now;
        }
    }
}

/// Pieces of so many bytes as `cuts` says over and over; all at once if it says nothing.
fn pieces<'a>(input: &'a [u8], cuts: &[usize]) -> impl Iterator<Item = &'a [u8]> {
    let mut cuts = cuts.iter().cycle().take(PIECES_MAX);
    let mut rest = input;
    std::iter::from_fn(move || {
        let len = cuts.next().map_or(rest.len(), |cut| rest.len().min(*cut));
        let (piece, behind) = rest.split_at(len);
        rest = behind;
        (len > 0).then_some(piece)
    })
}

struct Client {
    stream: UnixStream,
    answers: Vec<u8>,
    is_closed: bool,
}

impl Client {
    fn look(&mut self) {
        let mut piece = [0; 4096];
        while !self.is_closed {
            match self.stream.read(&mut piece) {
                Ok(0) => self.is_closed = true,
                Ok(count) => self.answers.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.is_closed = true,
            }
        }
    }
}

/// One service for every host, with one backend, which is up.
fn snapshot(path: &str) -> Option<Snapshot> {
    let (service, backend) = (ServiceName::parse("web").ok()?, BackendId::parse("a").ok()?);
    let version = VersionLabel::parse("v1").ok()?;
    let registration = Registration {
        backend: backend.clone(),
        address: format!("unix:{path}").parse().ok()?,
        version: Some(version.clone()),
        weight: Weight::ONE,
        ttl: None,
        boot_id: None,
        zone: None,
        schema: SchemaRange::ANY,
        metadata: BTreeMap::new(),
    };
    // Nobody is there to probe it again when it breaks off.
    let identity = IdentityPolicy { source: IdentitySource::Label, ..IdentityPolicy::default() };
    let configured = Configured {
        name: service.clone(),
        policy: Arc::new(Policy { identity, ..Policy::default() }),
        backends: vec![registration],
    };
    let finding = Finding::Up { version: Some(version), boot_id: None };
    let found = Found { service, backend, generation: 1, finding };
    let now = Timestamp::from_secs(1_800_000_000);
    let state = State::default().apply(&Command::Configure(vec![configured]), now).ok()?;
    let state = state.apply(&Command::Probed(vec![found]), now).ok()?;
    Some(compile(&state, &Snapshot::default()))
}
