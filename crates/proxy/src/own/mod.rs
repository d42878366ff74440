//! Answers of our own on their way to the client.

pub(crate) mod challenge;
pub(crate) mod early;
pub(crate) mod pages;
pub(crate) mod redirect;
pub(crate) mod respond;
pub(crate) mod to_https;
pub(crate) mod version_endpoint;

use std::future::poll_fn;
use std::task::{Poll, ready};

use http::{Method, StatusCode, Version};
use tokio::time::Instant;

use self::respond::{Own, Refusal};
use crate::error::Error;
use crate::io::stream::Stream;
use crate::message::fields::Fields;
use crate::message::grpc;
use crate::message::name::Name;
use crate::serve::Next;
use crate::serve::exchange::Exchange;
use crate::serve::scratch::Scratch;

/// Sends an answer that says what is wrong.
pub(crate) async fn refuse(exchange: &mut Exchange<'_>, error: Error) -> Next {
    if matches!(error, Error::ClientGone) {
        return Next::Reset;
    }
    exchange.failed(error.is_owed());
    let own = refusal(exchange, error);
    exchange.closes |= error.closes();
    match answer(exchange, own).await {
        // What was not understood has an end that nobody knows.
        Next::Close if error.closes() => Next::Linger,
        next => next,
    }
}

/// The answer that says what is wrong.
fn refusal(exchange: &Exchange<'_>, error: Error) -> Own {
    let asked = &exchange.scratch.asked;
    let worker = &exchange.client.worker;
    let wanted =
        exchange.service().filter(|_| !error.is_of_preview()).map(|service| &service.set.policy.error_pages);
    let page = wanted.and_then(|wanted| worker.pages.find(wanted, error.status()));
    let refusal = Refusal {
        status: error.status(),
        detail: &error.to_string(),
        retry_after_secs: error.retry_after_secs(worker.clock.at(exchange.began)),
        request_id: asked.fields.first(Name::XRequestId),
        page: page.as_deref(),
    };
    let mut own = refusal.answer(&asked.fields);
    if own.status == StatusCode::METHOD_NOT_ALLOWED {
        // RFC 9110 section 15.5.6. Every other method is the app's to allow.
        own.fields.append_other("Allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    }
    // Its status is 200 on the wire, which would open a tunnel.
    if grpc::is_call(asked) && !exchange.is_extended_connect() {
        own = grpc::refusal(&own, &error.to_string());
    }
    own
}

/// Sends an answer of ours. A body that was not read ends the connection.
pub(crate) async fn answer(exchange: &mut Exchange<'_>, own: Own) -> Next {
    // RFC 8441 section 5: any success opens a tunnel, in which nobody would be.
    let is_mistakable = own.status.is_success() && exchange.is_extended_connect();
    let mut own = if is_mistakable { refusal(exchange, Error::NoSwitch) } else { own };
    exchange.client.worker.metrics.own_answer(own.status);
    if let Some(standing) = &exchange.standing {
        standing.write(&mut own.fields);
    }
    if let Some(service) = exchange.service() {
        service.rules.response.apply_to_ours(&mut own.fields);
    }
    send(exchange, own).await
}

/// Sends an answer that no backend gave, with what is about the connection.
pub(crate) async fn send(exchange: &mut Exchange<'_>, own: Own) -> Next {
    let worker = &exchange.client.worker;
    exchange.scratch.upload.abandon(&mut exchange.scratch.from_client);
    let leaves_body = exchange.leaves_body();
    exchange.closes |= leaves_body || worker.stop.has_begun();
    let mut fields = own.fields;
    let Scratch { asked, interim, .. } = &mut *exchange.scratch;
    let is_bodied = asked.method != Method::HEAD && own.status != StatusCode::NO_CONTENT;
    fields.append(Name::Date, &[&worker.date(exchange.began)]);
    write_connection(&mut fields, asked.version, exchange.closes);
    let reason = own.status.canonical_reason().unwrap_or_default();
    let is_bodied = is_bodied && !own.body.is_empty();
    write_head(
        exchange.stream,
        interim,
        (grpc::wire_status(own.status, &fields), reason.as_bytes()),
        &fields,
        !is_bodied,
    );
    if is_bodied {
        let body = own.body;
        interim.extend_from_slice(&body);
        exchange.sent_own(body.len());
    }
    exchange.answered(own.status);
    if !flush(exchange).await {
        return Next::Close;
    }
    let now = Instant::now();
    exchange.ended(now);
    match exchange.closes {
        true if leaves_body || !exchange.scratch.from_client.is_empty() => Next::Linger,
        true => Next::Close,
        false => Next::Again(now),
    }
}

/// Writes what is in `interim` to the client. `false` when it can't be.
async fn flush(exchange: &mut Exchange<'_>) -> bool {
    let Exchange { stream, alarm, scratch, client, .. } = exchange;
    let time = client.worker.limits.body_idle_timeout;
    let mut deadline = None;
    let mut written = 0;
    poll_fn(|cx| {
        while written < scratch.interim.len() {
            match stream.poll_write_some(&scratch.interim[written..], cx) {
                Poll::Ready(Ok(count @ 1..)) => (written, deadline) = (written + count, None),
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(false),
                Poll::Pending => {
                    let deadline = *deadline.get_or_insert_with(|| Instant::now() + time);
                    ready!(alarm.poll(Some(deadline), cx));
                    return Poll::Ready(false);
                }
            }
        }
        if stream.poll_end_of_body(cx).is_pending() {
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + time);
            ready!(alarm.poll(Some(deadline), cx));
            return Poll::Ready(false);
        }
        Poll::Ready(true)
    })
    .await
}

/// Says what becomes of the connection, where that is not what its version says anyway (RFC 9112 section 9.3).
pub(crate) fn write_connection(fields: &mut Fields, version: Version, closes: bool) {
    if version > Version::HTTP_11 {
        // RFC 9113 section 8.2.2: there is no such field.
    } else if closes {
        fields.append(Name::Connection, &[b"close"]);
    } else if version < Version::HTTP_11 {
        fields.append(Name::Connection, &[b"keep-alive"]);
    }
}

/// Writes an answer's head, behind which nothing comes if `is_last`: into `out`, but for a `stream` of HTTP/2, where it goes out beside the
/// body. The version on our line is ours; what the backend spoke is in `Via`.
pub(crate) fn write_head(
    stream: &mut Stream,
    out: &mut Vec<u8>,
    (status, reason): (StatusCode, &[u8]),
    fields: &Fields,
    is_last: bool,
) {
    if let Some(stream) = stream.h2() {
        return stream.answer(status, fields, is_last);
    }
    write_h1_head(out, (status, reason), fields);
}

/// Writes an answer's head as it is in HTTP/1.1.
pub(crate) fn write_h1_head(out: &mut Vec<u8>, (status, reason): (StatusCode, &[u8]), fields: &Fields) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(reason);
    out.extend_from_slice(b"\r\n");
    fields.write(out);
    out.extend_from_slice(b"\r\n");
}
