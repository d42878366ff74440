//! Makes a backend's head one for the client, and says how its body goes on.

use http::{StatusCode, Version};

use crate::compress::{self, Subject};
use crate::h1::framing::Framing;
use crate::message::headers;
use crate::message::name::Name;
use crate::own;
use crate::pin::{self, Answering};
use crate::serve::decide::Decided;
use crate::serve::exchange::Exchange;
use crate::serve::forward::Backend;
use crate::serve::scratch::Scratch;
use crate::serve::set_length;

/// How an answer's body goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passing {
    /// As a body that says where it ends, or has none.
    Body,
    /// As everything that comes until the connection closes.
    UntilClose,
    /// As a tunnel, both ways.
    Tunnel,
}

/// Writes the answer's head into the download, in front of its body.
pub(crate) fn finish(exchange: &mut Exchange<'_>, decided: &mut Decided, backend: &Backend) -> Passing {
    let set = &decided.service.set;
    let worker = &exchange.client.worker;
    pin::follow(&mut decided.choice, set, backend.member, worker.clock.at(exchange.began));
    let Scratch { asked, answer, upload, download, .. } = &mut *exchange.scratch;
    let status = answer.status;
    headers::prepare_answer(status, answer.version, &mut answer.fields, &decided.service.identity);
    if let Some(standing) = &exchange.standing {
        standing.write(&mut answer.fields);
    }
    decided.service.rules.response.apply(&mut answer.fields);
    let is_secure = exchange.origin.is_secure;
    let answering =
        Answering { service: set, choice: &decided.choice, keyring: &decided.view.keyring, is_secure };
    let outcome = answering.write(status, &mut answer.fields);
    if let Some(id) = asked.fields.first(Name::XRequestId) {
        answer.fields.set(Name::XRequestId, &[id]);
    }
    if !answer.fields.contains(Name::Date) {
        // RFC 9110 section 6.6.1: whoever forwards an answer without a date writes down when it came.
        answer.fields.append(Name::Date, &[&worker.date(exchange.began)]);
    }
    if matches!(status, StatusCode::NO_CONTENT | StatusCode::SWITCHING_PROTOCOLS) {
        // RFC 9110 section 8.6: they end with their head, and a reader that believes the length waits for more.
        answer.fields.remove(Name::ContentLength);
    }
    let encoder = set.policy.compression.as_ref().and_then(|policy| {
        let known = asked.fields.named("if-none-match");
        let subject = Subject { method: &asked.method, status, wanted: exchange.wanted_coding, known };
        compress::begin(policy, &worker.encoders, &subject, &mut answer.fields)
    });
    // Nobody knows the length of what will be compressed.
    let framing = if encoder.is_some() { Framing::UntilClose } else { backend.answer.framing };
    let passing = passing(status, asked.version, framing);
    // An upload that goes on when the answer is there is not waited for.
    exchange.closes |= passing == Passing::UntilClose || !upload.is_done() || worker.stop.has_begun();
    // A session is evicted at its next request, over whichever connection that comes. But clients and proxies before this one that tie
    // sessions to connections look for a new one only when theirs ends.
    let is_evicted = decided.is_being_evicted(backend.member, worker.clock.at(exchange.began));
    exchange.closes |= is_evicted;
    if let Some(stream) = exchange.stream.h2().filter(|_| is_evicted) {
        stream.leave();
    }
    let is_chunking = passing == Passing::Body
        && asked.version < Version::HTTP_2
        && matches!(framing, Framing::Chunked | Framing::UntilClose);
    if is_chunking {
        answer.fields.append(Name::TransferEncoding, &[b"chunked"]);
    }
    if let Framing::Length(length) = framing {
        set_length(&mut answer.fields, length);
    }
    if passing != Passing::Tunnel {
        own::write_connection(&mut answer.fields, asked.version, exchange.closes);
    }
    let received = match backend.answer.framing {
        // Trailers may follow a body whose length is known (RFC 9113 section 8.1), to which the `h2` crate holds it.
        Framing::Length(1..) if backend.connection.stream.is_h2() => Framing::UntilClose,
        framing => framing,
    };
    download.expect(received, is_chunking);
    if let Some(encoder) = encoder {
        download.compress(encoder);
    }
    if matches!(received, Framing::Chunked | Framing::UntilClose) {
        download.hide(&decided.service.identity);
    }
    let is_last = matches!(framing, Framing::None | Framing::Length(0));
    own::write_head(
        exchange.stream,
        download.head(),
        (status, answer.reason()),
        &answer.fields,
        is_last && passing == Passing::Body,
    );
    exchange.pinned(outcome);
    exchange.answered(status);
    passing
}

const fn passing(status: StatusCode, asked: Version, framing: Framing) -> Passing {
    if status.as_u16() == StatusCode::SWITCHING_PROTOCOLS.as_u16() {
        return Passing::Tunnel;
    }
    match framing {
        Framing::Chunked | Framing::UntilClose if matches!(asked, Version::HTTP_10) => Passing::UntilClose,
        _ => Passing::Body,
    }
}
