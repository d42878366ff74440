//! A probe by one GET, over HTTP/1.1 or HTTP/2: judged by its status, and by what the answer says about the version and the process.

use std::error::Error as StdError;
use std::io;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::ask::{Answer, Failure, Question, is_process_gone};
use super::{h2, told};

/// Bytes of an answer's body that are read to find the version in it.
pub(super) const BODY_MAX: usize = 64 * 1024;
/// Bytes that an answer's head may have.
const HEAD_MAX: usize = 64 * 1024;

/// Asks over `stream` in HTTP/1.1.
pub(super) async fn ask<S>(stream: S, question: &Question) -> Result<Answer, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let request = request(question)?;
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| failure(&error))?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|error| failure(&error))?;
        read(response, question).await
    };
    tokio::pin!(connection, exchange);
    // The connection does the reading and writing. It may end before the exchange has taken what it read.
    tokio::select! {
        outcome = &mut exchange => outcome,
        _ = &mut connection => exchange.await,
    }
}

/// Asks over `stream` in HTTP/2.
pub(super) async fn ask_h2<S>(stream: S, question: &Question) -> Result<Answer, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let uri = question.uri(path(question)?)?;
    let request = question.request(Request::get(uri))?;
    let body_max = needs_body(question).then_some(BODY_MAX);
    let reply = h2::ask(stream, request, Bytes::new(), body_max, |status| judge(status, question)).await?;
    answer(reply.status, &reply.headers, needs_body(question).then_some(&reply.body), question)
}

fn request(question: &Question) -> Result<Request<Empty<Bytes>>, Failure> {
    let request = Request::get(path(question)?)
        .header(header::HOST, question.authority())
        .header(header::CONNECTION, "close");
    question.request(request).map(|request| request.map(|()| Empty::new()))
}

fn path(question: &Question) -> Result<Uri, Failure> {
    let path = &question.policy.health.path;
    path.parse().map_err(|error| Failure::of(format!("path {path:?}: {error}")))
}

async fn read(response: Response<Incoming>, question: &Question) -> Result<Answer, Failure> {
    let (head, body) = response.into_parts();
    judge(head.status, question)?;
    let body = match needs_body(question) {
        true => {
            let body = Limited::new(body, BODY_MAX).collect().await;
            Some(body.map_err(|error| Failure::of(format!("body: {error}")))?.to_bytes())
        }
        false => None,
    };
    answer(head.status, &head.headers, body.as_ref(), question)
}

fn needs_body(question: &Question) -> bool {
    told::is_in_body(&question.policy.identity)
}

fn judge(status: StatusCode, question: &Question) -> Result<(), Failure> {
    let expect = &question.policy.health.expect;
    let is_expected = expect.iter().any(|&(first, last)| (first..=last).contains(&status.as_u16()));
    if is_expected { Ok(()) } else { Err(Failure::of(format!("status {status}"))) }
}

fn answer(
    status: StatusCode,
    headers: &HeaderMap,
    body: Option<&Bytes>,
    question: &Question,
) -> Result<Answer, Failure> {
    let identity = &question.policy.identity;
    let boot_id = told::boot_id(headers, &identity.boot_id_header)?;
    let version = told::version(identity, headers, body)?;
    let detail = match &version {
        Some(version) => format!("status {status}, version {version}"),
        None => format!("status {status}"),
    };
    Ok(Answer { version, boot_id, detail })
}

fn failure(error: &hyper::Error) -> Failure {
    let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    let is_process_gone = error.is_incomplete_message()
        || error.is_canceled()
        || error.is_closed()
        || io.is_some_and(|io| is_process_gone(io.kind()));
    let cause = error.source().map(|source| format!(": {source}")).unwrap_or_default();
    Failure { detail: format!("{error}{cause}"), is_process_gone }
}
