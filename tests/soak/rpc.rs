//! Calls of gRPC: a server that is a process of its own, and callers.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::stream;
use http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use super::codec::Plain;
use super::place;
use super::run::Run;
use super::server::Server;
use super::trace::{Failure, Kind, Seen, Visit, Visitor};

/// The environment variable that says `ADDRESS VERSION` to a server.
pub(crate) const SERVE: &str = "CUTOVER_SOAK_SERVE";
/// For one call.
const PATIENCE: Duration = Duration::from_secs(90);
/// Calls of one visit, over one channel.
const CALLS: usize = 25;
/// Messages of a call in both directions.
const MESSAGES: u8 = 20;
/// Between two calls.
const PACE: Duration = Duration::from_millis(150);

/// Is a server until whoever started it is gone.
pub(crate) fn serve() {
    place::hold_leash();
    let told = std::env::var(SERVE).unwrap();
    let (address, version) = told.split_once(' ').unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let version = version.to_owned().leak();
        let _server = Server::start_at(address, version).await;
        std::future::pending::<()>().await;
    });
}

/// Calls over one channel: many small ones, and one in both directions.
pub(crate) async fn visit(run: &Run) -> Visit {
    let mut visit = Visit::new(Visitor::Caller, "gRPC");
    let Some(channel) = open(run.plain, &mut visit).await else { return visit };
    for number in 0..CALLS {
        let sent = Instant::now();
        let mut called = call(&channel, number).await;
        if called.as_ref().is_err_and(is_unheard) {
            run.tally().sent_again += 1;
            called = call(&channel, number).await;
        }
        visit.requests += 1;
        let answered = Instant::now();
        match called {
            Ok(version) => {
                visit.answers.push(Seen { version, pin: None, is_safe: false, sent, answered });
            }
            Err(status) => {
                let what = format!("a call: {:?} {}", status.code(), status.message());
                let failure = Failure { what, kind: Kind::NoAnswer, is_safe: false, sent, failed: answered };
                visit.failures.push(failure);
                // A channel that broke connects again; who calls at once only fails again.
                tokio::time::sleep(PACE).await;
            }
        }
        if run.is_closed() {
            break;
        }
        tokio::time::sleep(PACE).await;
    }
    visit
}

/// One of them is in both directions.
async fn call(channel: &Channel, number: usize) -> Result<String, Status> {
    let called = match number {
        5 => tokio::time::timeout(PATIENCE, chat(channel.clone())).await,
        _ => tokio::time::timeout(PATIENCE, unary(channel.clone())).await,
    };
    called.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer")))
}

/// Whether a connection ended in order before it began with this call (RFC 9113 section 6.8): it is to be sent again.
fn is_unheard(status: &Status) -> bool {
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            let is_orderly = error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR);
            return is_orderly || error.reason() == Some(h2::Reason::REFUSED_STREAM);
        }
        // What hyper says of a request that it still has when its connection has ended.
        if error.to_string() == "operation was canceled" {
            return true;
        }
        source = error.source();
    }
    false
}

async fn open(address: SocketAddr, visit: &mut Visit) -> Option<Channel> {
    let sent = Instant::now();
    let connected =
        Endpoint::from_shared(format!("http://{address}")).ok()?.connect_timeout(PATIENCE).connect().await;
    connected
        .map_err(|error| {
            visit.requests += 1;
            let what = format!("a channel: {error}");
            visit.failures.push(Failure {
                what,
                kind: Kind::NoAnswer,
                is_safe: true,
                sent,
                failed: Instant::now(),
            });
        })
        .ok()
}

async fn unary(channel: Channel) -> Result<String, Status> {
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let message = vec![7; 300];
    let path = PathAndQuery::from_static("/e2e.Echo/Unary");
    let answer = grpc.unary(Request::new(message.clone()), path, Plain).await?;
    let version = version(answer.metadata());
    if answer.into_inner() == message {
        Ok(version)
    } else {
        Err(Status::data_loss("another message came back"))
    }
}

async fn chat(channel: Channel) -> Result<String, Status> {
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let messages = stream::unfold(0, async |number| {
        tokio::time::sleep(PACE / 2).await;
        (number < MESSAGES).then(|| (vec![number], number + 1))
    });
    let path = PathAndQuery::from_static("/e2e.Echo/Chat");
    let answer = grpc.streaming(Request::new(messages), path, Plain).await?;
    let version = version(answer.metadata());
    let mut echoes = answer.into_inner();
    for number in 0..MESSAGES {
        if echoes.message().await? != Some(vec![number]) {
            return Err(Status::data_loss("another message came back"));
        }
    }
    Ok(version)
}

fn version(metadata: &tonic::metadata::MetadataMap) -> String {
    metadata.get("x-app-version").and_then(|version| version.to_str().ok()).unwrap_or_default().to_owned()
}
