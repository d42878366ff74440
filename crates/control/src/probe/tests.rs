//! Probes against small servers, and the prober with everything around it.

mod spoken;

use std::time::Duration;

use cutover_core::address::Address;
use cutover_core::backend::{Identity, Operational};
use cutover_core::command::{Change, Command, Finding};
use cutover_core::id::VersionLabel;
use cutover_core::policy::{
    HealthPolicy, IdentityPolicy, IdentitySource, Policy, ProbeProtocol, ProxyProtocol,
};
use cutover_core::time::Millis;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};

use super::ask::Answer;
use super::*;
use crate::world::{World, id, label, registration, web};

/// A server that answers every connection with `answer` and sends what it was asked.
async fn server(answer: &'static [u8]) -> (Address, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string().parse().expect("an address");
    let (said, heard) = mpsc::channel(64);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 4096];
            let length = stream.read(&mut request).await.unwrap_or(0);
            drop(said.try_send(String::from_utf8_lossy(&request[..length]).into_owned()));
            drop(stream.write_all(answer).await);
        }
    });
    (address, heard)
}

fn policy() -> Policy {
    let timeout = Millis(500);
    Policy { health: HealthPolicy { timeout, ..HealthPolicy::default() }, ..Policy::default() }
}

async fn ask(address: Address, policy: Policy) -> Result<Answer, Failure> {
    let question = Question {
        key: (web(), id("a")),
        generation: 1,
        number: 1,
        address,
        policy: Arc::new(policy),
        state: "role=active; epoch=3; admin=ready".to_owned(),
    };
    let (names, keeper) = Names::new(cutover_resolve::Dns::system());
    tokio::spawn(keeper.run());
    ask::ask(question, Means { names, ..Means::default() }).await.outcome
}

async fn answer_to(
    answer: &'static [u8],
    policy: Policy,
) -> Result<(Option<String>, Option<String>), String> {
    let (address, _heard) = server(answer).await;
    let answer = ask(address, policy).await.map_err(|failure| failure.detail)?;
    Ok((answer.version.map(|label| label.to_string()), answer.boot_id))
}

fn by_pointer(pointer: &str) -> Policy {
    let identity = IdentityPolicy { version_pointer: pointer.to_owned(), ..IdentityPolicy::default() };
    Policy { identity, ..policy() }
}

#[tokio::test]
async fn a_backend_that_wants_to_be_told_whose_a_connection_is_learns_that_a_probe_is_ours() {
    for (version, header) in [
        (ProxyProtocol::V1, &b"PROXY UNKNOWN\r\n"[..]),
        (ProxyProtocol::V2, b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string().parse().expect("an address");
        let mut policy = policy();
        policy.upstream.proxy_protocol = Some(version);
        let asked = tokio::spawn(ask(address, policy));
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut start = vec![0; header.len() + 4];
        stream.read_exact(&mut start).await.expect("what it begins with");
        assert_eq!(start, [header, b"GET "].concat());
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.expect("the client is there");
        asked.await.expect("no panic").expect("a good answer");
    }
}

#[tokio::test]
async fn a_probe_says_who_asks_and_what_the_backend_is() {
    let (address, mut heard) = server(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let host = address.to_string();
    ask(address, policy()).await.expect("a good answer");
    let request = heard.recv().await.expect("a request").to_ascii_lowercase();
    assert!(request.starts_with("get /up http/1.1\r\n"), "{request}");
    for line in [
        format!("host: {host}"),
        "user-agent: cutover-probe".to_owned(),
        "connection: close".to_owned(),
        "cutover-state: role=active; epoch=3; admin=ready".to_owned(),
    ] {
        assert!(request.contains(&format!("\r\n{line}\r\n")), "{line:?} is missing in {request}");
    }
}

#[tokio::test]
async fn version_and_process_are_read_from_headers() {
    let answer = b"HTTP/1.1 204 No\r\nx-app-version:  v1.2 \r\nX-App-Boot-Id: 7\r\n\r\n";
    let told = answer_to(answer, policy()).await;
    assert_eq!(told, Ok((Some("v1.2".to_owned()), Some("7".to_owned()))));
    let told = answer_to(b"HTTP/1.0 200 OK\r\n\r\nhello", policy()).await;
    assert_eq!(told, Ok((None, None)));
}

#[tokio::test]
async fn a_version_is_read_from_the_body_where_the_pointer_says() {
    let chunked =
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n14\r\n{\"build\":{\"v\":\"v3\"}}\r\n0\r\n\r\n";
    assert_eq!(answer_to(chunked, by_pointer("/build/v")).await, Ok((Some("v3".to_owned()), None)));
    assert_eq!(answer_to(chunked, by_pointer("/none")).await, Ok((None, None)));
    let number = b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n{\"v\":8}";
    assert_eq!(answer_to(number, by_pointer("/v")).await, Ok((Some("8".to_owned()), None)));
}

fn by_label(mut policy: Policy) -> Policy {
    policy.identity.source = IdentitySource::Label;
    policy
}

#[tokio::test]
async fn where_the_label_counts_no_answer_is_asked_for_a_version() {
    let nothing = Ok((None, None));
    for head in [&b"x-app-version: 1.2 (build 3)"[..], b"x-app-version: \xff", b"x-app-version: v9"] {
        let answer = [b"HTTP/1.1 200 OK\r\n", head, b"\r\n\r\n"].concat();
        assert_eq!(answer_to(answer.leak(), by_label(policy())).await, nothing);
    }
    let page = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n<p>";
    assert_eq!(answer_to(page, by_label(by_pointer("/v"))).await, nothing);
}

#[tokio::test]
async fn garbage_is_a_failure_that_says_what_it_is() {
    let cases: [(&'static [u8], Policy, &str); 11] = [
        (b"HTTP/1.1 503 Busy\r\n\r\n", policy(), "status 503"),
        (b"HTTP/1.1 200 OK\r\nx-app-version: v 1\r\n\r\n", policy(), "the version in x-app-version has ' '"),
        (b"HTTP/1.1 200 OK\r\nx-app-version: \r\n\r\n", policy(), "must not be empty"),
        (b"HTTP/1.1 200 OK\r\nx-app-version: a\r\nx-app-version: b\r\n\r\n", policy(), "several"),
        (b"HTTP/1.1 200 OK\r\nx-app-version: \xff\r\n\r\n", policy(), "not visible ASCII"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", policy(), "invalid HTTP"),
        (b"\0\0\0\0\0\0\0\0", policy(), "invalid HTTP"),
        (b"", policy(), "closed before"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n<p>", by_pointer("/v"), "no JSON"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n{\"v\":[]}", by_pointer("/v"), "neither a string"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{", by_pointer("/v"), "body"),
    ];
    for (answer, policy, expected) in cases {
        let told = answer_to(answer, policy).await;
        assert!(told.as_ref().is_err_and(|detail| detail.contains(expected)), "{expected}: {told:?}");
    }
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_its_end() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address: Address =
        listener.local_addr().expect("an address").to_string().parse().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                drop(stream.read(&mut [0; 4096]).await);
                drop(stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await);
                while stream.write_all(&[b'1'; 4096]).await.is_ok() {}
            });
        }
    });
    let outcome = ask(address, by_pointer("/v")).await.map_err(|failure| failure.detail);
    assert_eq!(outcome, Err("body: length limit exceeded".to_owned()));
}

#[tokio::test]
async fn a_refused_connection_is_a_sign_of_a_lost_process_and_silence_is_not() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address: Address =
        listener.local_addr().expect("an address").to_string().parse().expect("an address");
    let silent = ask(address.clone(), policy()).await.expect_err("nobody answers");
    assert_eq!((silent.detail.as_str(), silent.is_process_gone), ("no answer within 500ms", false));
    drop(listener);
    let refused = ask(address, policy()).await.expect_err("nobody listens");
    assert!(refused.is_process_gone, "{}", refused.detail);
}

#[tokio::test]
async fn tcp_and_unix_and_names_are_probed() {
    let (address, _heard) = server(b"").await;
    let tcp = HealthPolicy { protocol: ProbeProtocol::Tcp, ..HealthPolicy::default() };
    let Address::Tcp { port, .. } = address else { panic!("a TCP address") };
    let named = Address::Tcp { host: "localhost".to_owned(), port };
    ask(named, Policy { health: tcp, ..policy() }).await.expect("it listens");

    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("app.sock");
    let listener = UnixListener::bind(&path).expect("a socket");
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        drop(stream.read(&mut [0; 4096]).await);
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await);
    });
    let unix = Address::Unix { path: path.to_string_lossy().into_owned() };
    ask(unix.clone(), policy()).await.expect("a good answer");
    drop(directory);
    assert!(ask(unix, policy()).await.is_err_and(|failure| failure.is_process_gone));
}

/// The prober over a world, whose controller gets what it finds.
struct Watched {
    world: World,
    findings: mpsc::Receiver<Found>,
    board: Arc<ProbeBoard>,
    suspicion: Arc<Notify>,
}

impl Watched {
    fn begin(world: World) -> Self {
        let (said, findings) = mpsc::channel(64);
        let (board, suspicion) = (Arc::<ProbeBoard>::default(), Arc::<Notify>::default());
        let prober = Prober {
            current: world.controller.watch(),
            findings: said,
            suspicion: Arc::clone(&suspicion),
            board: Arc::clone(&board),
            metrics: Metrics::unregistered().expect("nothing else is registered"),
            connectors: Arc::default(),
            names: Names::default(),
            clock: Clock::start(),
        };
        tokio::spawn(prober.run());
        Self { world, findings, board, suspicion }
    }

    /// Feeds the controller until the backend is as wanted.
    async fn until(&mut self, backend: &str, is_wanted: impl Fn(&cutover_core::backend::Backend) -> bool) {
        let reached = async {
            while !self.world.web().backends.get(&id(backend)).is_some_and(|backend| is_wanted(backend)) {
                tokio::select! {
                    Some(found) = self.findings.recv() => self.world.controller.found(vec![found], self.world.now).await,
                    () = self.suspicion.notified() => self.world.controller.tick(self.world.now).await,
                }
                self.world.serve();
            }
        };
        tokio::time::timeout(Duration::from_secs(10), reached).await.expect("it gets there");
    }
}

async fn world_with(backend: &str, address: Address) -> World {
    let mut world = World::new().await;
    let health = HealthPolicy { interval: Millis(20), timeout: Millis(500), ..HealthPolicy::default() };
    let policy = Arc::new(Policy { health, ..Policy::default() });
    let put = Command::PutService { service: web(), policy, document: "{}".into() };
    world.submit(put).await.expect("a service");
    let said = cutover_core::command::Registration { address, ..registration(backend, "v1") };
    world.change(Change::Register(said)).await.expect("a backend");
    world
}

#[tokio::test]
async fn a_backend_comes_up_in_its_version_and_goes_down() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address: Address =
        listener.local_addr().expect("an address").to_string().parse().expect("an address");
    let app = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            drop(stream.read(&mut request).await);
            drop(
                stream.write_all(b"HTTP/1.1 200 OK\r\nx-app-version: v7\r\ncontent-length: 0\r\n\r\n").await,
            );
        }
    });
    let mut watched = Watched::begin(world_with("a", address).await);

    watched.until("a", |backend| backend.is_usable() && backend.version == Some(label("v7"))).await;
    assert_eq!(watched.world.active(), Some("v7"));
    let report = watched.board.last(&web(), &id("a")).expect("a probe");
    assert!(report.is_ok && report.detail == "status 200 OK, version v7", "{report:?}");
    app.abort();
    // The process is suspected at the first refusal, long before its probes have failed three times.
    watched
        .until("a", |backend| backend.identity == Identity::Unknown && backend.operational.as_str() == "up")
        .await;
    watched.until("a", |backend| matches!(backend.operational, Operational::Down(_))).await;
}

#[tokio::test]
async fn a_backend_that_is_gone_is_asked_no_more() {
    let (address, mut heard) = server(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let mut watched = Watched::begin(world_with("a", address).await);
    watched.until("a", |backend| matches!(backend.operational, Operational::Up(_))).await;

    let leave = Change::Deregister { backend: id("a"), drain: Millis::ZERO };
    watched.world.change(leave).await.expect("it may leave");
    // One probe may be under way.
    tokio::time::sleep(Duration::from_millis(60)).await;
    while heard.try_recv().is_ok() {}
    tokio::time::sleep(Duration::from_millis(100)).await;

    assert!(heard.try_recv().is_err(), "asked again");
    assert_eq!(watched.board.last(&web(), &id("a")), None);
}

#[tokio::test]
async fn only_news_is_told() {
    let (address, mut heard) =
        server(b"HTTP/1.1 200 OK\r\nx-app-version: v1\r\ncontent-length: 0\r\n\r\n").await;
    let mut watched = Watched::begin(world_with("a", address).await);
    watched.until("a", |backend| backend.is_usable()).await;

    while heard.try_recv().is_ok() {}
    for _ in 0..5 {
        heard.recv().await.expect("it is asked on and on");
    }

    let told = watched.findings.try_recv();
    assert!(told.is_err(), "{told:?}");
    let version = Some(VersionLabel::parse("v1").expect("a label"));
    let known = Finding::Up { version, boot_id: None };
    let backend = Arc::clone(&watched.world.web().backends[&id("a")]);
    watched.world.found("a", known).await;
    assert!(Arc::ptr_eq(&backend, &watched.world.web().backends[&id("a")]), "news that is none");
}

#[tokio::test]
async fn workers_stop_using_a_process_that_a_probe_finds_replaced_before_the_controller_knows() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string().parse().expect("an address");
    let (deploy, mut deployed) = watch::channel("v1");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            drop(stream.read(&mut [0; 4096]).await);
            let version = *deployed.borrow_and_update();
            let answer = format!("HTTP/1.1 200 OK\r\nx-app-version: {version}\r\ncontent-length: 0\r\n\r\n");
            drop(stream.write_all(answer.as_bytes()).await);
        }
    });
    let mut watched = Watched::begin(world_with("a", address).await);
    watched.until("a", |backend| backend.is_usable()).await;
    let entry = Arc::clone(&watched.world.serve().services[0].backends[0]);
    assert!(entry.is_sendable());

    deploy.send_replace("v2");
    let found = watched.findings.recv().await.expect("it is found out");

    assert!(matches!(found.finding, Finding::Up { version: Some(version), .. } if version == label("v2")));
    assert!(!entry.is_sendable());
    watched.until("a", |backend| backend.is_usable() && backend.version == Some(label("v2"))).await;
}
