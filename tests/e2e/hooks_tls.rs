//! Hooks over TLS: a receiver is told only if the authority of its certificate is believed.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::certificate::certificate;
use crate::support::config::{Config, Service};
use crate::support::cutover::Cutover;
use crate::support::receiver::SECRET;
use crate::support::stage::Stage;
use crate::support::wait::until;

/// A receiver over TLS that takes every call.
#[derive(Debug)]
struct Receiver {
    address: SocketAddr,
    /// The request lines of the calls.
    calls: Arc<Mutex<Vec<String>>>,
    /// Connections that ended before a call, since its certificate was not believed.
    refused: Arc<AtomicU64>,
}

impl Receiver {
    async fn start(ca: &Path) -> Self {
        let acceptor = certificate(ca, b"http/1.1");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (calls, refused) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<AtomicU64>::default());
        let receiver = Self { address, calls: Arc::clone(&calls), refused: Arc::clone(&refused) };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    refused.fetch_add(1, Ordering::SeqCst);
                    continue;
                };
                let mut call = Vec::new();
                // The body is an object without others inside.
                while !call.ends_with(b"}") && stream.read_buf(&mut call).await.is_ok_and(|read| read > 0) {}
                if call.is_empty() {
                    refused.fetch_add(1, Ordering::SeqCst);
                    continue;
                }
                let call = String::from_utf8_lossy(&call).into_owned();
                calls.lock().unwrap().push(call.lines().next().unwrap_or_default().to_owned());
                let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
                let _ = stream.shutdown().await;
            }
        });
        receiver
    }

    fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }
}

#[tokio::test]
async fn a_receiver_with_a_private_authority_is_told_by_those_who_believe_it() {
    let directory = tempfile::tempdir().unwrap();
    let ca = directory.path().join("ca.pem");
    let receiver = Receiver::start(&ca).await;
    let service = Service::new("web")
        .hook_over_tls("post_flip", &receiver.url("/believed"), SECRET, &ca)
        .hook("post_flip", &receiver.url("/strange"), SECRET);

    let stage = Stage::v1_with(service).await;
    until("one is told and the other does not believe it", async || {
        let hooks = stage.admin().get("/v1/services/web").await["hooks"].clone();
        let is_told = hooks["recent"][0]["delivered"] == true && hooks["owed"] == 1;
        (is_told && receiver.refused.load(Ordering::SeqCst) > 0).then_some(())
    })
    .await;

    assert_eq!(*receiver.calls.lock().unwrap(), ["POST /believed HTTP/1.1"]);
    let shown = stage.cli(&["services", "web"]).await.stdout;
    let line = shown.lines().find(|line| line.contains("/believed  ")).unwrap_or_default();
    assert!(line.starts_with("post_flip  https://") && line.contains("  taken for v1 at "), "{shown}");
    assert!(shown.contains("web: 1 call of a hook is not delivered yet"), "{shown}");
}

#[tokio::test]
async fn an_authority_that_cannot_be_used_is_named_by_check() {
    let missing = Path::new("/no/such/ca.pem");
    for (url, said) in [
        ("https://ci.test/", "service[0].hook[0].ca: can't read /no/such/ca.pem: "),
        ("http://ci.test/", "service[0].hook[0].ca: "),
    ] {
        let service = Service::new("web").hook_over_tls("drained", url, SECRET, missing);
        let cutover = Cutover::stopped(&Config::of(service));
        let checked = cutover.cli(&["check", &cutover.config_file().to_string_lossy()]).await;
        assert!(checked.code == 1 && format!("{checked:?}").contains(said), "{checked:?}");
    }
}
