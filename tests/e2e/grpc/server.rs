//! An app server of gRPC that says which version it runs.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use futures_util::{Stream, StreamExt as _};
use http::{HeaderValue, Request, Response};
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::transport::server::TcpIncoming;
use tonic::{Status, Streaming};
use tower::service_fn;

use super::codec::{Message, Plain};

/// What `grpc.health.v1` calls serving: field 1 with the value 1.
const SERVING: [u8; 2] = [8, 1];

/// A running server. Its calls end with the runtime of the test.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    /// Calls to `/e2e.Echo/Wait` that wait.
    waiting: Arc<AtomicUsize>,
}

impl Server {
    pub(crate) async fn start(version: &'static str) -> Self {
        Self::start_at("127.0.0.1:0", version).await
    }

    /// The same at this address.
    pub(crate) async fn start_at(address: &str, version: &'static str) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let (address, waiting) = (listener.local_addr().unwrap(), Arc::default());
        let echo = Echo { version, waiting: Arc::clone(&waiting) };
        let server = tonic::transport::Server::builder();
        tokio::spawn(async move { server.serve_with_incoming(echo, TcpIncoming::from(listener)).await });
        Self { address, waiting }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

#[derive(Clone, Debug)]
struct Echo {
    version: &'static str,
    waiting: Arc<AtomicUsize>,
}

type Answered<T> = Result<tonic::Response<T>, Status>;
type Messages = Pin<Box<dyn Stream<Item = Result<Message, Status>> + Send>>;

impl tower::Service<Request<Body>> for Echo {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Self { version, waiting } = self.clone();
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(Plain);
            let mut answer = match request.uri().path() {
                "/e2e.Echo/Unary" => grpc.unary(service_fn(unary), request).await,
                "/e2e.Echo/Fail" => grpc.unary(service_fn(fail), request).await,
                "/e2e.Echo/Wait" => {
                    let waits = Waiting::new(waiting);
                    grpc.unary(service_fn(move |_| wait(waits.clone())), request).await
                }
                "/e2e.Echo/Count" => grpc.server_streaming(service_fn(count), request).await,
                "/e2e.Echo/Sum" => grpc.client_streaming(service_fn(sum), request).await,
                "/e2e.Echo/Chat" => grpc.streaming(service_fn(chat), request).await,
                "/grpc.health.v1.Health/Check" => grpc.unary(service_fn(health), request).await,
                _ => Status::unimplemented("no such method").into_http(),
            };
            answer.headers_mut().insert("x-app-version", HeaderValue::from_static(version));
            Ok(answer)
        })
    }
}

async fn unary(request: tonic::Request<Message>) -> Answered<Message> {
    Ok(tonic::Response::new(request.into_inner()))
}

async fn health(_: tonic::Request<Message>) -> Answered<Message> {
    Ok(tonic::Response::new(SERVING.to_vec()))
}

async fn fail(_: tonic::Request<Message>) -> Answered<Message> {
    Err(Status::not_found("it is not there, nor is é"))
}

async fn wait(waits: Arc<Waiting>) -> Answered<Message> {
    std::future::pending::<()>().await;
    drop(waits);
    Err(Status::internal("it waited for ever"))
}

/// As many messages as the first byte says.
async fn count(request: tonic::Request<Message>) -> Answered<Messages> {
    let count = request.into_inner().first().copied().unwrap_or_default();
    Ok(tonic::Response::new(Box::pin(futures_util::stream::iter((0..count).map(|number| Ok(vec![number]))))))
}

/// How many bytes all messages have together, in decimal.
async fn sum(request: tonic::Request<Streaming<Message>>) -> Answered<Message> {
    let (mut messages, mut bytes) = (request.into_inner(), 0);
    while let Some(message) = messages.message().await? {
        bytes += message.len();
    }
    Ok(tonic::Response::new(bytes.to_string().into_bytes()))
}

/// Every message back, as soon as it is there.
async fn chat(request: tonic::Request<Streaming<Message>>) -> Answered<Messages> {
    Ok(tonic::Response::new(request.into_inner().boxed()))
}

/// A call that waits, until it is given up.
#[derive(Debug)]
struct Waiting(Arc<AtomicUsize>);

impl Waiting {
    fn new(count: Arc<AtomicUsize>) -> Arc<Self> {
        count.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self(count))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
