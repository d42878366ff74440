//! One request, start to end: every phase by its name, in its order.

use std::convert::Infallible;
use std::rc::Rc;

use bytes::Bytes;
use cutover_core::decide::Facts;
use cutover_core::pin::NoPin;
use cutover_core::snapshot::ServiceSet;
use http::header::{CONNECTION, EXPECT, HOST};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, request, response};
use hyper::body::{Body as _, Incoming};
use hyper::upgrade::OnUpgrade;
use tokio::time::Instant;

use crate::answer::{AnswerBody, FromBackend};
use crate::body::{BodyFault, BodyLimits, RequestBody};
use crate::check::{check, expects_continue};
use crate::config::Limits;
use crate::connection::Client;
use crate::decide::{Asking, Decided, authority};
use crate::error::Error;
use crate::exchange::Exchange;
use crate::forward::{self, Answer, Outgoing};
use crate::headers::{self, MaxForwards};
use crate::pin::{self, Answering};
use crate::request_id::{self, X_REQUEST_ID};
use crate::upgrade::Tunnel;
use crate::{respond, version_endpoint};

/// The body of every answer.
pub(crate) type Body = AnswerBody;

/// Answers a request.
pub(crate) async fn serve(
    client: Rc<Client>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let nth = client.activity.begin_request();
    let (mut head, body) = request.into_parts();
    let mut exchange = Exchange::begin(&client, &head, !body.is_end_stream());
    let answered = answer(&client, &mut exchange, &mut head, body).await;
    let mut response = match answered {
        Ok(Answered::Backend(head, from)) => {
            Response::from_parts(head, AnswerBody::from_backend(from, exchange))
        }
        Ok(Answered::Tunnel(head, tunnel)) => {
            exchange.becomes_tunnel();
            client.becomes(tunnel(exchange));
            Response::from_parts(head, AnswerBody::nothing())
        }
        Ok(Answered::Own(own)) => own_answer(&client, own, exchange),
        Err(error) => refuse(&client, error, &head.headers, exchange),
    };
    if client.worker.limits.requests_per_connection.is_some_and(|limit| nth >= limit)
        && response.status() != StatusCode::SWITCHING_PROTOCOLS
    {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

/// Our answer to a head that did not come in time, as bytes, since there is no request that hyper could answer.
pub(crate) fn refuse_head(client: &Client, error: Error) -> Vec<u8> {
    let answer = respond::answer(error.status(), &error.to_string(), &HeaderMap::new(), None);
    client.worker.metrics.own_answer(answer.status());
    let mut bytes = format!("HTTP/1.1 {}\r\nconnection: close\r\n", answer.status()).into_bytes();
    for (name, value) in answer.headers() {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(answer.body());
    bytes
}

/// What a request comes to.
enum Answered {
    /// A backend's answer, its head ready for the client.
    Backend(response::Parts, FromBackend),
    /// A tunnel, which opens when the client has this head.
    Tunnel(response::Parts, Box<dyn FnOnce(Exchange) -> Tunnel<Exchange>>),
    /// An answer of ours.
    Own(Response<Bytes>),
}

async fn answer(
    client: &Client,
    exchange: &mut Exchange,
    head: &mut request::Parts,
    body: Incoming,
) -> Result<Answered, Error> {
    let origin = client.peer.origin(&head.headers, &client.admission.front().trusted_proxies);
    let request_id = request_id::ensure(&mut head.headers, &mut client.worker.entropy.borrow_mut());
    exchange.identify(origin.client, request_id.clone());
    check(head, &client.worker.limits)?;

    let asking = Asking { client, head, authority: authority(head)?, origin };
    if head.uri.path() == version_endpoint::PATH {
        let (view, service) = asking.route()?;
        let pin = asking.pin(&view, service);
        return Ok(Answered::Own(version_endpoint::answer(&head.method, &view.services[service].set, pin)));
    }
    let decided = asking.decide(exchange).await?;
    let host = asking.authority.text.to_owned();

    let body = admit(client, exchange, &decided.service.set, body)?;
    if headers::count_down(&head.method, &mut head.headers) == MaxForwards::AnswerHere {
        return last_hop(&head.method).map(Answered::Own);
    }
    let to_backend = prepare(client, &decided.service.set, head, &host);
    let answer = send(client, exchange, &decided, head, &body, &to_backend).await?;
    finish(
        client,
        exchange,
        decided,
        answer,
        &Asked { version: head.version, is_secure: origin.is_secure, request_id },
    )
}

/// The body, within its limits: one that says it is too large is refused before a byte of it is read.
fn admit(
    client: &Client,
    exchange: &mut Exchange,
    set: &ServiceSet,
    body: Incoming,
) -> Result<Rc<RequestBody>, Error> {
    let limits = body_limits(&client.worker.limits, set);
    let body = RequestBody::new(body, limits, Instant::now());
    exchange.has_body(&body);
    if limits.bytes.zip(body.length()).is_some_and(|(limit, length)| length > limit) {
        return Err(Error::Body(BodyFault::TooLarge));
    }
    Ok(body)
}

/// The proxy's limits, lowered by the service's.
fn body_limits(limits: &Limits, set: &ServiceSet) -> BodyLimits {
    let own = set.policy.limits;
    let bytes = match (limits.body, own.body) {
        (Some(ours), Some(its)) => Some(ours.min(its)),
        (ours, its) => ours.or(its),
    };
    let idle = own.body_idle_timeout.map_or(limits.body_idle_timeout, Into::into);
    BodyLimits { bytes, idle: idle.min(limits.body_idle_timeout), replay: set.policy.upstream.replay_body }
}

/// `Max-Forwards` says that the request ends here. There is nothing to say about us (RFC 9110 section 9.3.7), and what a TRACE would repeat may be secret.
fn last_hop(method: &Method) -> Result<Response<Bytes>, Error> {
    if *method == Method::TRACE {
        return Err(Error::Trace);
    }
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    Ok(answer)
}

/// What the backend gets, beside the header fields.
struct ToBackend {
    target: Uri,
    wants_upgrade: bool,
    /// Whether it is asked for leave before the body is sent.
    awaits_continue: bool,
}

/// Makes the client's head one for the backend, in place.
fn prepare(client: &Client, set: &ServiceSet, head: &mut request::Parts, host: &str) -> ToBackend {
    let upgrade = headers::wanted_upgrade(head.version, &head.headers);
    let wants_upgrade = upgrade.is_some();
    let awaits_continue = expects_continue(head.version, &head.headers);
    headers::prepare_request(&mut head.headers, head.version, upgrade);
    if !awaits_continue {
        head.headers.remove(EXPECT);
    }
    pin::strip(&mut head.headers, &set.policy.pin);
    client.peer.write(&mut head.headers, host);
    if let Ok(host) = HeaderValue::from_str(host) {
        // The target's authority wins over `Host` (RFC 9112 section 3.2.2), and the backend sees it only there.
        head.headers.insert(HOST, host);
    }
    let target = head.uri.path_and_query().cloned().map_or_else(Uri::default, Uri::from);
    ToBackend { target, wants_upgrade, awaits_continue }
}

async fn send(
    client: &Client,
    exchange: &mut Exchange,
    decided: &Decided,
    head: &request::Parts,
    body: &Rc<RequestBody>,
    to_backend: &ToBackend,
) -> Result<Answer, Error> {
    let worker = &client.worker;
    let set = &decided.service.set;
    let facts = Facts {
        service: 0,
        explicit: None,
        pin: Err(NoPin::Absent),
        hash_key: decided.hash_key,
        may_wait: false,
        now: worker.clock.now(),
    };
    let outgoing = Outgoing {
        worker,
        service: &decided.service,
        version: decided.choice.version,
        facts,
        method: &head.method,
        target: &to_backend.target,
        headers: &head.headers,
        body,
        wants_upgrade: to_backend.wants_upgrade,
        awaits_continue: to_backend.awaits_continue,
        wait_until: Instant::now() + set.policy.queue_timeout.into(),
    };
    forward::forward(&outgoing, decided.choice.member, exchange.tries()).await
}

/// What finishing an answer needs of its request.
struct Asked {
    version: Version,
    is_secure: bool,
    request_id: HeaderValue,
}

/// Makes the backend's head one for the client, and says what becomes of its body.
fn finish(
    client: &Client,
    exchange: &mut Exchange,
    decided: Decided,
    answer: Answer,
    asked: &Asked,
) -> Result<Answered, Error> {
    let Answer { response, connection, member, in_flight } = answer;
    let Decided { view, service, mut choice, .. } = decided;
    pin::follow(&mut choice, &service.set, member, client.worker.clock.now());
    let (mut head, body) = response.into_parts();
    headers::prepare_answer(head.status, head.version, &mut head.headers, &service.set.policy.identity);
    let answering = Answering {
        service: &service.set,
        choice: &choice,
        keyring: &view.keyring,
        is_secure: asked.is_secure,
    };
    exchange.pinned(answering.write(head.status, &mut head.headers));
    head.headers.insert(X_REQUEST_ID, asked.request_id.clone());
    // The version on our line is ours; what the backend spoke is in `Via`.
    head.version = Version::HTTP_11;
    exchange.answered(head.status);
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        let upstream = head.extensions.remove::<OnUpgrade>().ok_or(Error::BadAnswer)?;
        let idle = service.set.policy.upstream.tunnel_idle_timeout.into();
        let slot = connection.into_tunnel();
        let tunnel = move |exchange| Tunnel { upstream, slot, in_flight, idle, exchange };
        return Ok(Answered::Tunnel(head, Box::new(tunnel)));
    }
    let ends_by_close = asked.version < Version::HTTP_11 && body.size_hint().exact().is_none();
    let from = FromBackend {
        body,
        connection,
        in_flight,
        worker: Rc::clone(&client.worker),
        service,
        version: choice.version,
        member,
        ends_by_close,
    };
    Ok(Answered::Backend(head, from))
}

/// An answer of ours that is no refusal.
fn own_answer(client: &Client, own: Response<Bytes>, mut exchange: Exchange) -> Response<Body> {
    client.worker.metrics.own_answer(own.status());
    exchange.answered(own.status());
    own.map(|bytes| AnswerBody::own(bytes, exchange))
}

/// An answer of ours that says what is wrong.
fn refuse(client: &Client, error: Error, asked: &HeaderMap, exchange: Exchange) -> Response<Body> {
    let own = respond::answer(error.status(), &error.to_string(), asked, exchange.request_id());
    let mut response = own_answer(client, own, exchange);
    if error.closes() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
