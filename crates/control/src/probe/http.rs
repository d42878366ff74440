//! A probe over HTTP/1.1: one GET, judged by its status, and what the answer says about the version and the process.

use std::error::Error as StdError;
use std::io;

use bytes::Bytes;
use cutover_core::address::Address;
use cutover_core::id::VersionLabel;
use http::{HeaderMap, Request, Response, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use super::ask::{Answer, Failure, Question, is_process_gone};
use super::connect::Stream;

/// Bytes of an answer's body that are read to find the version in it.
const BODY_MAX: usize = 64 * 1024;
/// Bytes that an answer's head may have.
const HEAD_MAX: usize = 64 * 1024;
/// Bytes that a boot id may have.
const BOOT_ID_MAX: usize = 256;

/// Asks over `stream`.
pub(super) async fn ask(stream: Stream, question: &Question) -> Result<Answer, Failure> {
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

fn request(question: &Question) -> Result<Request<Empty<Bytes>>, Failure> {
    let health = &question.policy.health;
    let path: Uri =
        health.path.parse().map_err(|error| Failure::of(format!("path {:?}: {error}", health.path)))?;
    let host = match (&question.address, health.host.as_str()) {
        (Address::Tcp { .. }, "") => question.address.to_string(),
        (Address::Unix { .. }, "") => "localhost".to_owned(),
        (_, host) => host.to_owned(),
    };
    Request::get(path)
        .header(http::header::HOST, host)
        .header(http::header::USER_AGENT, "cutover-probe")
        .header(http::header::CONNECTION, "close")
        .header("cutover-state", &question.state)
        .body(Empty::new())
        .map_err(|error| Failure::of(format!("the probe makes no request: {error}")))
}

async fn read(response: Response<Incoming>, question: &Question) -> Result<Answer, Failure> {
    let policy = &question.policy;
    let status = response.status();
    let is_expected =
        policy.health.expect.iter().any(|&(first, last)| (first..=last).contains(&status.as_u16()));
    if !is_expected {
        return Err(Failure::of(format!("status {status}")));
    }
    let boot_id = boot_id(response.headers(), &policy.identity.boot_id_header)?;
    let version = if policy.identity.version_pointer.is_empty() {
        version_header(response.headers(), &policy.identity.version_header)?
    } else {
        let body = Limited::new(response.into_body(), BODY_MAX).collect().await;
        let body = body.map_err(|error| Failure::of(format!("body: {error}")))?.to_bytes();
        version_in(&body, &policy.identity.version_pointer)?
    };
    let detail = match &version {
        Some(version) => format!("status {status}, version {version}"),
        None => format!("status {status}"),
    };
    Ok(Answer { version, boot_id, detail })
}

/// The only value of a header; none if it is absent. Somebody who says two things is not believed either.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Failure> {
    if name.is_empty() {
        return Ok(None);
    }
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.any(|other| other != value) {
        return Err(Failure::of(format!("there are several {name} headers")));
    }
    value.to_str().map(Some).map_err(|_| Failure::of(format!("{name} is not visible ASCII")))
}

fn version_header(headers: &HeaderMap, name: &str) -> Result<Option<VersionLabel>, Failure> {
    single(headers, name)?.map(|value| version(name, value)).transpose()
}

fn boot_id(headers: &HeaderMap, name: &str) -> Result<Option<String>, Failure> {
    match single(headers, name)? {
        Some(value) if value.len() > BOOT_ID_MAX => Err(Failure::of(format!(
            "{name} is {} bytes long, at most {BOOT_ID_MAX} are allowed",
            value.len()
        ))),
        value => Ok(value.map(ToOwned::to_owned)),
    }
}

/// The version at a JSON pointer (RFC 6901), a string or a number; none where there is nothing.
fn version_in(body: &[u8], pointer: &str) -> Result<Option<VersionLabel>, Failure> {
    let body: serde_json::Value =
        serde_json::from_slice(body).map_err(|error| Failure::of(format!("the body is no JSON: {error}")))?;
    match body.pointer(pointer) {
        None | Some(serde_json::Value::Null) => Ok(None),
        Some(serde_json::Value::String(label)) => version(pointer, label).map(Some),
        Some(serde_json::Value::Number(number)) => version(pointer, &number.to_string()).map(Some),
        Some(_) => Err(Failure::of(format!("{pointer} is neither a string nor a number"))),
    }
}

/// Who names a version that is none is not believed to run the one it was registered with.
fn version(source: &str, label: &str) -> Result<VersionLabel, Failure> {
    VersionLabel::parse(label.trim()).map_err(|error| Failure::of(format!("the version in {source} {error}")))
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
