//! One request, start to end: every phase by its name, in its order.

use std::convert::Infallible;
use std::rc::Rc;

use bytes::Bytes;
use cutover_core::decide::{Choice, Decision, Facts};
use cutover_core::pin::NoPin;
use cutover_core::snapshot::ServiceSet;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, request, response};
use hyper::body::{Body as _, Incoming};
use hyper::upgrade::OnUpgrade;
use tokio::time::Instant;

use crate::answer::{AnswerBody, FromBackend};
use crate::body::{BodyFault, BodyLimits, RequestBody};
use crate::config::Limits;
use crate::connection::Client;
use crate::error::Error;
use crate::exchange::Exchange;
use crate::facts::{self, Head, HostError};
use crate::forward::{self, Answer, Outgoing};
use crate::pin::Answering;
use crate::upgrade::Tunnel;
use crate::view::{ServiceView, View};

/// The body of every answer.
pub(crate) type Body = AnswerBody;

/// Answers a request.
pub(crate) async fn serve(
    client: Rc<Client>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let nth = client.activity.begin_request();
    let mut exchange = Exchange::begin(&client);
    let (head, body) = request.into_parts();
    let answered = answer(&client, &mut exchange, head, body).await;
    let mut response = match answered {
        Ok(Answered::Backend(head, from)) => {
            Response::from_parts(head, AnswerBody::from_backend(from, exchange))
        }
        Ok(Answered::Tunnel(head, tunnel)) => {
            exchange.becomes_tunnel();
            *client.tunnel.borrow_mut() = Some(tunnel(exchange));
            Response::from_parts(head, AnswerBody::nothing())
        }
        Ok(Answered::Own(own)) => own.map(|bytes| AnswerBody::own(bytes, exchange)),
        Err(error) => refuse(error, exchange),
    };
    if client.worker.limits.requests_per_connection.is_some_and(|limit| nth >= limit) {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
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

/// A request that was decided.
struct Decided {
    view: Rc<View>,
    service: Rc<ServiceView>,
    choice: Choice,
    hash_key: Option<u64>,
}

async fn answer(
    client: &Rc<Client>,
    exchange: &mut Exchange,
    mut head: request::Parts,
    body: Incoming,
) -> Result<Answered, Error> {
    check(&head, &client.worker.limits)?;
    let decided = decide(client, exchange, &head).await?;
    let body = admit(client, exchange, &decided.service.set, &head.headers, body)?;
    let wants_upgrade = rewrite_request(client, &decided, &mut head, &body)?;
    let (answer, target) = send(client, &decided, &head, &body, wants_upgrade).await?;
    let _ = target;
    finish(client, decided, answer, head.version)
}

/// What parsing alone does not check.
fn check(head: &request::Parts, limits: &Limits) -> Result<(), Error> {
    let target_len = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
    // Method, two spaces, version.
    let line_len = head.method.as_str().len() + target_len + "  HTTP/1.1".len();
    if line_len > limits.request_line {
        return Err(Error::TargetTooLong);
    }
    if head.headers.len() > limits.header_count {
        return Err(Error::HeadersTooLarge);
    }
    if head.method == Method::CONNECT {
        return Err(Error::Connect);
    }
    Ok(())
}

/// Routes and decides, waiting for a backend if one may come. The in-flight count begins in the same breath as the decision.
async fn decide(client: &Client, exchange: &mut Exchange, head: &request::Parts) -> Result<Decided, Error> {
    let worker = &client.worker;
    let authority =
        facts::authority(head.version, &head.uri, &head.headers).map_err(|error| malformed(error))?;
    let mut waiting = None;
    loop {
        let view = worker.view();
        let at = view.snapshot.route(authority.host, head.uri.path()).ok_or(Error::NoRoute)?;
        let service = &view.services[at];
        let now = worker.clock.now();
        let asked =
            Head { uri: &head.uri, headers: &head.headers, client: client.peer.ip(), is_secure: false };
        let given = asked.read(&service.set, &view.keyring, now);
        let may_wait = waiting.as_ref().is_none_or(|(until, _)| Instant::now() < *until);
        let facts = given.facts(at, may_wait, now);
        let decision = view.snapshot.decide(&facts, &mut worker.entropy.borrow_mut());
        match decision {
            Decision::Serve(choice) => {
                exchange.decided(&service.set.versions[choice.version].traffic);
                let (service, hash_key) = (Rc::clone(service), given.hash_key);
                return Ok(Decided { view, service, choice, hash_key });
            }
            Decision::Unavailable => return Err(Error::Unavailable),
            Decision::MissingVersion(what) => return Err(Error::MissingVersion(what)),
            Decision::Wait => {}
        }
        if waiting.is_none() {
            let place = worker.queue.enter().ok_or(Error::Overloaded)?;
            waiting = Some((Instant::now() + service.set.policy.queue_timeout.into(), place));
        }
        if let Some((until, _)) = &waiting {
            worker.changed(*until).await;
        }
    }
}

fn malformed(error: HostError) -> Error {
    Error::Malformed(match error {
        HostError::Missing => "it names no host",
        HostError::Several => "it has more than one Host field",
        HostError::Invalid => "its Host field is not a host",
    })
}

/// The body, within its limits.
fn admit(
    client: &Client,
    exchange: &mut Exchange,
    set: &ServiceSet,
    headers: &HeaderMap,
    body: Incoming,
) -> Result<Rc<RequestBody>, Error> {
    let (limits, policy) = (&client.worker.limits, &set.policy);
    let bytes = match (limits.body, policy.limits.body) {
        (Some(ours), Some(its)) => Some(ours.min(its)),
        (ours, its) => ours.or(its),
    };
    let idle = policy.limits.body_idle_timeout.map_or(limits.body_idle_timeout, Into::into);
    let limits =
        BodyLimits { bytes, idle: idle.min(limits.body_idle_timeout), replay: policy.upstream.replay_body };
    let length = body.size_hint().exact();
    let body = RequestBody::new(body, limits, Instant::now());
    exchange.has_body(&body);
    if bytes.zip(length).is_some_and(|(limit, length)| length > limit) {
        return Err(Error::Body(BodyFault::TooLarge));
    }
    let _ = headers;
    Ok(body)
}

fn rewrite_request(
    _client: &Client,
    _decided: &Decided,
    _head: &mut request::Parts,
    _body: &RequestBody,
) -> Result<bool, Error> {
    Ok(false)
}

async fn send(
    client: &Client,
    decided: &Decided,
    head: &request::Parts,
    body: &Rc<RequestBody>,
    wants_upgrade: bool,
) -> Result<(Answer, Uri), Error> {
    let target: Uri = head.uri.path_and_query().cloned().map_or_else(Uri::default, Uri::from);
    let outgoing = Outgoing {
        worker: &client.worker,
        service: &decided.service,
        version: decided.choice.version,
        facts: Facts {
            service: 0,
            explicit: None,
            pin: Err(NoPin::Absent),
            hash_key: decided.hash_key,
            may_wait: false,
            now: client.worker.clock.now(),
        },
        method: &head.method,
        target: &target,
        headers: &head.headers,
        body,
        wants_upgrade,
        wait_until: Instant::now() + decided.service.set.policy.queue_timeout.into(),
    };
    let answer = forward::forward(&outgoing, decided.choice.member).await?;
    Ok((answer, target))
}

fn finish(
    client: &Rc<Client>,
    decided: Decided,
    answer: Answer,
    version: Version,
) -> Result<Answered, Error> {
    let Answer { response, connection, member, in_flight } = answer;
    let Decided { view, service, choice, .. } = decided;
    let (mut head, body) = response.into_parts();
    let _ = Answering { service: &service.set, choice: &choice, keyring: &view.keyring, is_secure: false }
        .write(head.status, &mut head.headers);
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        let Some(upstream) = head.extensions.remove::<OnUpgrade>() else { return Err(Error::BadAnswer) };
        let idle = service.set.policy.upstream.tunnel_idle_timeout.into();
        let slot = connection.into_tunnel();
        let tunnel = move |exchange| Tunnel { upstream, slot, idle, in_flight, exchange };
        return Ok(Answered::Tunnel(head, Box::new(tunnel)));
    }
    let has_length = body.size_hint().exact().is_some();
    let from = FromBackend {
        body,
        connection,
        in_flight,
        worker: Rc::clone(&client.worker),
        service,
        version: choice.version,
        member,
        ends_by_close: version < Version::HTTP_11 && !has_length,
    };
    Ok(Answered::Backend(head, from))
}

/// An answer of ours that says what is wrong.
fn refuse(error: Error, exchange: Exchange) -> Response<Body> {
    let text = Bytes::from(format!("{error}\n"));
    let mut response = Response::new(AnswerBody::own(text, exchange));
    *response.status_mut() = error.status();
    if error.closes() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Our answer to a head that did not come in time, ready to be written.
pub(crate) fn refuse_head(_client: &Client, error: Error) -> Vec<u8> {
    format!("HTTP/1.1 {}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n", error.status()).into_bytes()
}
