//! Where the tests act: a control plane on a store in memory, its API, and backends that accept connections.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use cutover_core::command::Command;
use cutover_core::publish::channel;
use cutover_core::snapshot::Snapshot;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::{Notify, watch};
use tower::ServiceExt;

use crate::admin::api::Api;
use crate::admin::peer::Peer;
use crate::admin::wire::service::read_policy;
use crate::admin::{AdminConfig, Grant, Token, routes};
use crate::clock::Clock;
use crate::handle;
use crate::run::{Running, Settings, start};
use crate::store::MemoryStore;
use crate::timeline::Actor;

pub(super) struct Stage {
    router: Router,
    pub(super) closing: watch::Sender<bool>,
    running: Running,
    backends: Vec<TcpListener>,
}

/// One request.
pub(super) struct Call {
    method: Method,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// What was answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
    pub(super) text: String,
}

impl Stage {
    /// An open API without services.
    pub(super) async fn new() -> Self {
        Self::with(AdminConfig::default()).await
    }

    /// An API that asks for a token: each is its owner's name.
    pub(super) async fn guarded() -> Self {
        let token = |name: &str, grant| Token {
            name: name.to_owned(),
            sha256: Sha256::digest(name.as_bytes()).into(),
            grant,
        };
        let services = ["web".parse().unwrap()].into();
        let tokens = vec![
            token("reader", Grant::Read),
            token("app", Grant::Register(services)),
            token("deploy", Grant::Operate),
            token("root", Grant::Admin),
        ];
        Self::with(AdminConfig { is_open: false, tokens, ..AdminConfig::default() }).await
    }

    pub(super) async fn with(config: AdminConfig) -> Self {
        let wake = Arc::new(Notify::new());
        let (publisher, _) = channel(Snapshot::default(), Vec::new(), {
            let wake = Arc::clone(&wake);
            Box::new(move || wake.notify_one())
        });
        let registry = prometheus::Registry::new();
        let running = start(Settings {
            node: "lb-1".to_owned(),
            store: Arc::new(MemoryStore::new()),
            store_kind: "memory",
            state_dir: None,
            publisher,
            wake,
            clock: Clock::start(),
            read_policy,
            registry: registry.clone(),
            connectors: Arc::default(),
            names: cutover_resolve::Names::default(),
        })
        .await
        .unwrap();
        let control = running.control();
        let configure = handle::Request::new(Command::Configure(Vec::new()), Actor::config());
        control.submit(configure).await.unwrap();
        let (closing, is_closing) = watch::channel(false);
        let router = routes::router(Api::new(&config, control, registry, is_closing).unwrap());
        Self { router, closing, running, backends: Vec::new() }
    }

    /// The process begins to end.
    pub(super) fn leave(&self) {
        self.running.control().leave();
    }

    /// A stage with service `web`: `a` runs v1, which is active, and `b` runs v2, which is staged.
    pub(super) async fn with_two_versions() -> Self {
        let mut stage = Self::new().await;
        stage.two_versions().await;
        stage
    }

    pub(super) async fn two_versions(&mut self) {
        self.put_web(json!({})).await;
        for (id, version, role) in [("a", "v1", "active"), ("b", "v2", "staged")] {
            self.register(id, version).await;
            self.usable(version, role).await;
        }
    }

    /// Creates service `web`, whose backends are known by their labels and probed often.
    pub(super) async fn put_web(&self, more: Value) {
        let mut document = json!({
            "identity": "label",
            "health": {"protocol": "tcp", "interval": "20ms", "rise": 1},
            "flip": {"stable_for": "0s"},
        });
        document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.ok(put("/v1/services/web").json(document)).await;
    }

    /// Registers a backend that accepts connections.
    pub(super) async fn register(&mut self, id: &str, version: &str) -> Value {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        self.backends.push(listener);
        let body = json!({"address": address, "version": version, "ttl": "0"});
        self.ok(put(format!("/v1/services/web/backends/{id}")).json(body)).await
    }

    /// Waits until a version has this role and a usable backend.
    pub(super) async fn usable(&self, version: &str, role: &str) {
        let path = format!("/v1/services/web/versions/{version}");
        for _ in 0..500 {
            let shown = self.ok(get(format!("{path}?wait={role}"))).await;
            if shown["usable_backends"] != 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("version {version} never became usable");
    }

    /// Sends a request and takes the answer as it comes.
    pub(super) async fn send(&self, call: Call) -> Response {
        let request = call.into_request();
        self.router.clone().oneshot(request).await.unwrap()
    }

    pub(super) async fn call(&self, call: Call) -> Answer {
        let response = self.send(call).await;
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let body = serde_json::from_str(&text).unwrap_or_default();
        Answer { status: parts.status.as_u16(), headers: parts.headers, body, text }
    }

    /// The body of an answer that must be a success.
    pub(super) async fn ok(&self, call: Call) -> Value {
        let what = format!("{} {}", call.method, call.path);
        let answer = self.call(call).await;
        assert!((200..300).contains(&answer.status), "{what}: {answer:?}");
        answer.body
    }

    /// The status of an answer that must be a problem, checked for its form, and the codes of its reasons.
    pub(super) async fn problem(&self, call: Call) -> (u16, Vec<String>) {
        let answer = self.call(call).await;
        let codes =
            answer.problem().iter().map(|reason| reason["code"].as_str().unwrap().to_owned()).collect();
        (answer.status, codes)
    }

    pub(super) async fn status(&self, call: Call) -> u16 {
        self.call(call).await.status
    }
}

impl Answer {
    pub(super) fn revision(&self) -> u64 {
        self.headers["cutover-revision"].to_str().unwrap().parse().unwrap()
    }

    /// The reasons of a problem of the right form.
    pub(super) fn problem(&self) -> &[Value] {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{self:?}");
        assert_eq!(self.body["status"], self.status, "{self:?}");
        assert_eq!(self.body["type"], "about:blank");
        let title = StatusCode::from_u16(self.status).unwrap().canonical_reason().unwrap();
        assert_eq!(self.body["title"], title);
        assert!(!self.body["detail"].as_str().unwrap().is_empty());
        let reasons = self.body["reasons"].as_array().unwrap();
        assert!(!reasons.is_empty(), "{self:?}");
        reasons
    }
}

impl Call {
    pub(super) fn new(method: Method, path: impl Into<String>) -> Self {
        let headers = vec![("host".to_owned(), "localhost:9900".to_owned())];
        Self { method, path: path.into(), headers, body: Vec::new() }
    }

    #[expect(clippy::needless_pass_by_value, reason = "tests write the body in place")]
    pub(super) fn json(self, body: Value) -> Self {
        self.body(body.to_string()).header("content-type", "application/json")
    }

    pub(super) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets a header; an empty value takes it away.
    pub(super) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(other, _)| other != name);
        if !value.is_empty() {
            self.headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    pub(super) fn token(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    fn into_request(self) -> Request<Body> {
        let mut request = Request::builder().method(self.method).uri(self.path);
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        let mut request = request.body(Body::from(self.body)).unwrap();
        let (remote, local) = ("127.0.0.1:5".parse().unwrap(), "127.0.0.1".parse().unwrap());
        request.extensions_mut().insert(Peer::Tcp { remote, local });
        request
    }
}

pub(super) fn get(path: impl Into<String>) -> Call {
    Call::new(Method::GET, path)
}

pub(super) fn put(path: impl Into<String>) -> Call {
    Call::new(Method::PUT, path)
}

pub(super) fn post(path: impl Into<String>) -> Call {
    Call::new(Method::POST, path)
}

pub(super) fn patch(path: impl Into<String>) -> Call {
    Call::new(Method::PATCH, path)
}

pub(super) fn delete(path: impl Into<String>) -> Call {
    Call::new(Method::DELETE, path)
}
