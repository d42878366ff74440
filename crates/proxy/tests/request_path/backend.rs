//! Backends that speak HTTP/2, or TLS: a runtime of their own, and a script for every request.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;
use cutover_core::policy::{Policy, UpstreamProtocol, UpstreamTls};
use h2::server::{Builder, Connection, SendResponse};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::ServerConfig;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_rustls::TlsAcceptor;

use crate::world::Setup;

/// A backend on a port of its own.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    calls: Arc<AtomicUsize>,
    runtime: Option<Runtime>,
}

/// One request.
pub(crate) struct Call {
    pub(crate) request: Request<RecvStream>,
    pub(crate) respond: SendResponse<Bytes>,
    /// Which connection it came over, from 1.
    pub(crate) connection: usize,
    /// Which request of all it is, from 1.
    pub(crate) nth: usize,
    orders: UnboundedSender<Order>,
}

/// What becomes of a connection.
enum Order {
    /// It takes no more streams.
    GoAway,
    /// It ends without a word.
    Drop,
}

type Script = Arc<dyn Fn(Call) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

impl Backend {
    /// A backend that speaks HTTP/2 in clear text, and plays `script` for every request.
    pub(crate) fn h2c<F>(script: impl Fn(Call) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::h2(Builder::new(), None, script)
    }

    /// The same with other settings, or over TLS.
    pub(crate) fn h2<F>(
        builder: Builder,
        tls: Option<TlsAcceptor>,
        script: impl Fn(Call) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let script: Script = Arc::new(move |call| Box::pin(script(call)));
        let calls = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&calls);
        let mut backend = Self::serving(move |stream, nth| {
            let (builder, script, calls) = (builder.clone(), Arc::clone(&script), Arc::clone(&count));
            let tls = tls.clone();
            async move {
                match tls {
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(stream).await {
                            serve(stream, &builder, nth, &calls, &script).await;
                        }
                    }
                    None => serve(stream, &builder, nth, &calls, &script).await,
                }
            }
        });
        backend.calls = calls;
        backend
    }

    /// A backend that speaks HTTP/1.1 over TLS: it answers `requests` on every connection with the body that it got, and then says that
    /// this was all.
    pub(crate) fn https(tls: TlsAcceptor, requests: usize) -> Self {
        Self::serving(move |stream, _| {
            let tls = tls.clone();
            async move {
                let Ok(mut stream) = tls.accept(stream).await else { return };
                for _ in 0..requests {
                    let Some(body) = read_http1(&mut stream).await else { break };
                    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
                    drop(stream.write_all(&[head.as_bytes(), &body].concat()).await);
                    drop(stream.flush().await);
                }
                drop(stream.shutdown().await);
            }
        })
    }

    fn serving<F>(serve: impl Fn(TcpStream, usize) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let nth = count.fetch_add(1, Relaxed) + 1;
                tokio::spawn(serve(stream, nth));
            }
        });
        Self { address, connections, calls: Arc::default(), runtime: Some(runtime) }
    }

    /// How many connections it had so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Relaxed)
    }

    /// How many requests it had so far.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Relaxed)
    }

    /// A service whose only backend this is.
    pub(crate) fn alone(&self, protocol: UpstreamProtocol) -> Setup {
        Setup::new(&[("a", &self.address.to_string(), "v1")])
            .policy(|policy| policy.upstream.protocol = protocol)
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    builder: &Builder,
    nth: usize,
    calls: &AtomicUsize,
    script: &Script,
) {
    let Ok(mut connection) = builder.handshake(stream).await else { return };
    let (orders, mut ordered) = unbounded_channel();
    while let Some((request, respond)) = next(&mut connection, &mut ordered).await {
        let number = calls.fetch_add(1, Relaxed) + 1;
        let call = Call { request, respond, connection: nth, nth: number, orders: orders.clone() };
        tokio::spawn(script(call));
    }
}

/// The next stream of a connection; `None` when it ends.
async fn next<S: AsyncRead + AsyncWrite + Unpin>(
    connection: &mut Connection<S, Bytes>,
    ordered: &mut UnboundedReceiver<Order>,
) -> Option<(Request<RecvStream>, SendResponse<Bytes>)> {
    loop {
        tokio::select! {
            accepted = connection.accept() => return accepted?.ok(),
            Some(order) = ordered.recv() => match order {
                Order::GoAway => connection.graceful_shutdown(),
                Order::Drop => return None,
            },
        }
    }
}

impl Call {
    /// Reads the body of the request, with its trailers.
    pub(crate) async fn body(&mut self) -> (Vec<u8>, Option<HeaderMap>) {
        let body = self.request.body_mut();
        let mut whole = Vec::new();
        while let Some(Ok(piece)) = body.data().await {
            drop(body.flow_control().release_capacity(piece.len()));
            whole.extend_from_slice(&piece);
        }
        (whole, body.trailers().await.ok().flatten())
    }

    /// Begins the answer.
    pub(crate) fn begin(&mut self, response: Response<()>) -> SendStream<Bytes> {
        self.respond.send_response(response, false).unwrap()
    }

    /// Answers.
    pub(crate) fn say(&mut self, text: impl Into<Bytes>) {
        self.begin(Response::new(())).send_data(text.into(), true).unwrap();
    }

    /// Lets no more streams come over its connection.
    pub(crate) fn go_away(&self) {
        drop(self.orders.send(Order::GoAway));
    }

    /// Lets its connection end without a word.
    pub(crate) fn hang_up(&self) {
        drop(self.orders.send(Order::Drop));
    }
}

/// Sends as much as there is room for, to the end.
pub(crate) async fn send_all(stream: &mut SendStream<Bytes>, mut body: Bytes, is_last: bool) {
    while !body.is_empty() {
        stream.reserve_capacity(body.len());
        let Some(Ok(room)) = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await else { return };
        let piece = body.split_to(room.min(body.len()));
        if stream.send_data(piece, is_last && body.is_empty()).is_err() {
            return;
        }
    }
}

/// Reads a request whose body has a length.
async fn read_http1(stream: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).await.ok()?;
    Some(body)
}

/// A certificate for a name, in a file for those who believe it.
pub(crate) struct Certificate {
    directory: TempDir,
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Certificate {
    pub(crate) fn of(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().self_signed(&key).unwrap();
        let certificate = Self { directory: tempfile::tempdir().unwrap(), certificate, key };
        std::fs::write(certificate.path(), certificate.certificate.pem()).unwrap();
        certificate
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// Makes backends believed that have this certificate.
    pub(crate) fn believe(&self, policy: &mut Policy) {
        let ca = Some(self.path().to_string_lossy().into_owned());
        policy.upstream.tls = UpstreamTls { ca, ..UpstreamTls::default() };
    }

    /// A server's end of TLS, which offers `alpn`.
    pub(crate) fn acceptor(&self, alpn: &[&str]) -> TlsAcceptor {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.der().clone()], key)
            .unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }
}
