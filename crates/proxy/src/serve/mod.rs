//! One request, start to end: every phase by its name, in its order.

pub(crate) mod again;
pub(crate) mod ask;
pub(crate) mod blame;
pub(crate) mod check;
pub(crate) mod decide;
pub(crate) mod exchange;
pub(crate) mod facts;
pub(crate) mod finish;
pub(crate) mod forward;
pub(crate) mod pass;
pub(crate) mod queue;
pub(crate) mod scratch;
pub(crate) mod server;
pub(crate) mod sighting;
pub(crate) mod term;
pub(crate) mod tunnel;
pub(crate) mod upload;

use std::future::poll_fn;
use std::task::{Poll, ready};

use cutover_core::snapshot::ServiceSet;
use http::{Method, StatusCode, Version};
use tokio::time::Instant;

use self::ask::Expectation;
use self::check::{check, check_tunnel, expects_continue, keeps_alive};
use self::decide::{Decided, Routed, Undecided};
use self::exchange::Exchange;
use self::facts::Authority;
use self::finish::Passing;
use self::forward::Outgoing;
use self::scratch::Scratch;
use self::upload::BodyLimits;
use crate::assets;
use crate::client::connection::Connection;
use crate::compress;
use crate::config::Limits;
use crate::error::Error;
use crate::h1::framing::{self, Framing};
use crate::h1::head::HeadLimits;
use crate::h1::target::Form;
use crate::h2;
use crate::message::decimal::Decimal;
use crate::message::fields::Fields;
use crate::message::headers::{self, MaxForwards};
use crate::message::name::Name;
use crate::message::request_id;
use crate::own;
use crate::own::challenge;
use crate::own::early;
use crate::own::respond::Own;
use crate::own::to_https;
use crate::own::version_endpoint;
use crate::pin;
use crate::pin::preview;

/// What becomes of the client's connection.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Next {
    /// It serves the next request. This one ended then.
    Again(Instant),
    /// It waits on: there was nothing to read, though it looked so.
    Wait,
    /// It closes.
    Close,
    /// It closes, after the rest of the request was read.
    Linger,
    /// It is reset, because its end would make a broken answer look complete.
    Reset,
    /// It goes on as HTTP/2. What was read of it is in its `read_ahead`.
    Http2,
}

/// Serves one request.
pub(crate) async fn serve(connection: &mut Connection, scratch: &mut Scratch) -> Next {
    let received = receive(connection, scratch).await;
    let began = match received {
        Received::Nothing => return Next::Close,
        Received::NotYet => return Next::Wait,
        Received::Http2 => return Next::Http2,
        Received::Head(began) | Received::Refused(began, _) => began,
    };
    connection.requests = connection.requests.saturating_add(1);
    let is_last = connection
        .client
        .worker
        .limits
        .requests_per_connection
        .is_some_and(|most| connection.requests >= most);
    request_id::ensure(&mut scratch.asked.fields, &mut connection.client.worker.entropy.borrow_mut());
    let mut exchange = Exchange::begin(connection, scratch, began);
    let answered = match received {
        Received::Refused(_, error) => Err(error),
        _ => answer(&mut exchange, is_last).await,
    };
    match answered {
        Ok(next) => next,
        Err(error) => match Box::pin(assets::instead(&mut exchange, error)).await {
            Some(next) => next,
            None => own::refuse(&mut exchange, error).await,
        },
    }
}

async fn answer(exchange: &mut Exchange<'_>, is_last: bool) -> Result<Next, Error> {
    let framing = identify(exchange, is_last)?;
    if let Some(answer) = challenge::answer(exchange) {
        return Ok(own::answer(exchange, answer).await);
    }
    if let Some(port) = exchange.client.admission.front().https_port.filter(|_| !exchange.origin.is_secure) {
        let answer = to_https::answer(exchange, port)?;
        return Ok(own::answer(exchange, answer).await);
    }
    let routed = decide::route(exchange)?;
    limit(exchange, &routed)?;
    if let Some(answer) = preview::answer(exchange, &routed)? {
        return Ok(own::answer(exchange, *answer).await);
    }
    if version_endpoint::is_at(exchange.scratch.asked.path(), routed.found.prefix_len) {
        let answer = report_version(exchange, &routed);
        return Ok(own::answer(exchange, answer).await);
    }
    if let Some(answer) = early::answer(exchange, &routed)? {
        return Ok(own::answer(exchange, *answer).await);
    }
    let mut decided = match decide::decide(exchange, routed) {
        Ok(decided) => decided,
        Err(Undecided::Refused(error)) => return Err(error),
        // It is rarely needed, and would be part of everything that serves a connection.
        Err(Undecided::Waits) => Box::pin(decide::decide_later(exchange)).await?,
    };
    admit(exchange, &decided.service.set, framing)?;
    if is_last_hop(exchange) {
        let answer = answer_here(exchange)?;
        return Ok(own::answer(exchange, answer).await);
    }
    let outgoing = prepare(exchange, &decided, framing);
    let mut backend = forward::forward(exchange, &mut decided, &outgoing).await?;
    if assets::is_missed(exchange, &decided, &outgoing) {
        // It is rarely needed, and would be part of everything that serves a connection.
        backend = match Box::pin(assets::search(exchange, &mut decided, &outgoing, backend)).await? {
            assets::Found::Backend(backend) => backend,
            assets::Found::Kept(kept) => return Ok(kept.send(exchange, &decided.service).await),
        };
    }
    assets::copy(exchange, &decided, &backend);
    let passing = finish::finish(exchange, &mut decided, &backend);
    if passing == Passing::Tunnel {
        // Its state is large, and would be part of everything that serves a connection.
        return Ok(Box::pin(pass::tunnel(exchange, decided, backend)).await);
    }
    Ok(pass::pass(exchange, &decided, backend, passing).await)
}

/// What came of waiting for a head.
enum Received {
    /// It is in the scratch, and was whole at this moment.
    Head(Instant),
    /// There is nothing to read, though it looked so.
    NotYet,
    /// The client closed.
    Nothing,
    /// The client speaks HTTP/2 without having asked (RFC 9113 section 3.3).
    Http2,
    /// What came is no request.
    Refused(Instant, Error),
}

/// Reads the head of a request. It has its own time, from its first byte.
async fn receive(connection: &mut Connection, scratch: &mut Scratch) -> Received {
    let Connection { client, stream, alarm, requests, read_ahead, .. } = connection;
    let limits = &client.worker.limits;
    let of_head =
        HeadLimits { line: limits.request_line, fields: limits.headers, count: limits.header_count };
    let Scratch { asked, from_client, text, .. } = scratch;
    asked.clear();
    let began = Instant::now();
    if let Some(stream) = stream.h2() {
        let nonce = || {
            let mut entropy = client.worker.entropy.borrow_mut();
            (u128::from(entropy.word()) << 64 | u128::from(entropy.word())).to_ne_bytes()
        };
        return match stream.read_request(asked, &of_head, text, nonce) {
            Ok(()) => Received::Head(began),
            Err(error) => Received::Refused(began, error.into()),
        };
    }
    let mut is_slow = false;
    poll_fn(|cx| {
        loop {
            let is_h2 = if *requests == 0 { h2::is_preface(from_client.filled()) } else { Some(false) };
            if is_h2 == Some(true) {
                from_client.filled().clone_into(read_ahead);
                return Poll::Ready(Received::Http2);
            }
            if !from_client.is_empty() && is_h2.is_some() {
                match asked.parse(from_client.filled(), &of_head) {
                    Ok(Some(len)) => {
                        from_client.consume(len);
                        // What it took the client to send it is not part of serving it.
                        return Poll::Ready(Received::Head(if is_slow { Instant::now() } else { began }));
                    }
                    Ok(None) => {}
                    Err(error) => return Poll::Ready(Received::Refused(began, error.into())),
                }
            }
            if from_client.is_full() {
                // The parser refuses what is larger than the limits, which bounds this.
                from_client.grow(2 * from_client.capacity());
            }
            match from_client.poll_fill(stream, cx) {
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Received::Nothing),
                // It waits for a request with nothing in hand.
                Poll::Pending if from_client.is_empty() => return Poll::Ready(Received::NotYet),
                Poll::Pending => {
                    is_slow = true;
                    ready!(alarm.poll(Some(began + limits.header_timeout), cx));
                    asked.give_up(from_client.filled());
                    return Poll::Ready(Received::Refused(began, Error::HeadTimeout));
                }
            }
        }
    })
    .await
}

/// Where the request comes from, what it is for, and how its body is framed.
fn identify(exchange: &mut Exchange<'_>, is_last: bool) -> Result<Framing, Error> {
    let client = exchange.client;
    let asked = &exchange.scratch.asked;
    exchange.origin = client.peer.origin(&asked.fields, &client.admission.front().trusted_proxies);
    exchange.closes = is_last || !keeps_alive(asked.version, &asked.fields);
    let framing = match exchange.stream.h2() {
        Some(stream) => stream.framing(asked)?,
        None => framing::request(asked.version, &asked.fields)?,
    };
    // Before anything is refused for another reason: the body is not the next request.
    exchange.is_bodied = !matches!(framing, Framing::None | Framing::Length(0));
    check(asked, framing)?;
    if exchange.stream.is_extended_connect() {
        check_tunnel(asked)?;
    }
    if !exchange.scratch.take_known_authority() {
        let Scratch { asked, authority, host_len, .. } = &mut *exchange.scratch;
        let given = facts::authority(asked.version, asked.authority(), &asked.fields)?;
        authority.push_str(given.text);
        *host_len = given.host.len();
    }
    Ok(framing)
}

/// Whether the client may ask once more.
fn limit(exchange: &mut Exchange<'_>, routed: &Routed) -> Result<(), Error> {
    let service = routed.service();
    let Some(limiter) = &service.limiter else { return Ok(()) };
    let standing = limiter.ask(exchange.origin.client);
    exchange.standing = Some(standing);
    if standing.is_exceeded() {
        service.metrics.rate_limited.inc();
        return Err(Error::RateLimited(standing));
    }
    Ok(())
}

/// Which version the client has and which one is active.
fn report_version(exchange: &Exchange<'_>, routed: &Routed) -> Own {
    let given = decide::given(exchange, routed);
    let (method, set) = (&exchange.scratch.asked.method, &routed.service().set);
    version_endpoint::answer(method, set, given.pin, given.preview.ok())
}

/// The body, within its limits: one that says it is too large is refused before a byte of it is read.
fn admit(exchange: &mut Exchange<'_>, set: &ServiceSet, framing: Framing) -> Result<(), Error> {
    let limits = body_limits(&exchange.client.worker.limits, set);
    Ok(exchange.admit(framing, is_chunked(framing, set), limits)?)
}

/// Whether the backend gets a body in chunks.
fn is_chunked(framing: Framing, set: &ServiceSet) -> bool {
    matches!(framing, Framing::Chunked | Framing::UntilClose) && !set.policy.upstream.protocol.is_h2()
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

/// Whether `Max-Forwards` says that the request ends here.
fn is_last_hop(exchange: &mut Exchange<'_>) -> bool {
    let asked = &mut exchange.scratch.asked;
    headers::count_down(&asked.method, &mut asked.fields) == MaxForwards::AnswerHere
}

/// There is nothing to say about us (RFC 9110 section 9.3.7), and what a TRACE would repeat may be secret.
fn answer_here(exchange: &Exchange<'_>) -> Result<Own, Error> {
    if exchange.scratch.asked.method == Method::TRACE {
        return Err(Error::Trace);
    }
    Ok(Own { status: StatusCode::NO_CONTENT, fields: Fields::default(), body: Vec::new() })
}

/// Makes the client's head one for the backend, in place.
fn prepare(exchange: &mut Exchange<'_>, decided: &Decided, framing: Framing) -> Outgoing {
    let set = &decided.service.set;
    let Scratch { asked, authority, host_len, from_client, .. } = exchange.scratch;
    if set.policy.compression.is_some() {
        // What the app is told of it may differ.
        exchange.wanted_coding = compress::wanted(&asked.fields);
    }
    let wants_upgrade = headers::wants_upgrade(asked.version, &asked.fields, exchange.is_bodied);
    let expects = exchange.is_bodied && expects_continue(asked.version, &asked.fields);
    headers::prepare_request(&mut asked.fields, asked.version, wants_upgrade);
    if !expects {
        asked.fields.remove(Name::Expect);
    }
    pin::strip(&mut asked.fields, &set.policy.pin, &decided.going);
    let given = Authority { text: authority, host: &authority[..*host_len] };
    exchange.client.peer.write(&mut asked.fields, exchange.origin, given);
    let rules = &decided.service.rules;
    if let Some(rewrite) = &rules.rewrite {
        rewrite.apply(asked, decided.prefix_len);
    }
    exchange.client.admission.front().write_subject(&mut asked.fields, exchange.client.subject.as_ref());
    if asked.form() == Form::Absolute || !asked.fields.contains(Name::Host) {
        // The target's authority wins over `Host` (RFC 9112 section 3.2.2), and the backend sees it only there.
        asked.fields.set(Name::Host, &[authority.as_bytes()]);
    }
    if is_chunked(framing, set) {
        asked.fields.append(Name::TransferEncoding, &[b"chunked"]);
    }
    if let Framing::Length(length) = framing {
        set_length(&mut asked.fields, length);
    }
    rules.request.apply(&mut asked.fields);
    let expectation = match expects {
        false => Expectation::None,
        // A client that has begun does not wait.
        true if !from_client.is_empty() => Expectation::Begun,
        true => Expectation::Waits,
    };
    Outgoing {
        wants_upgrade,
        expectation,
        is_http11: asked.version >= Version::HTTP_11,
        wait_until: exchange.began + set.policy.queue_timeout.into(),
    }
}

/// Writes a length as it was understood: zeros in front of it are read as octal by some.
pub(crate) fn set_length(fields: &mut Fields, length: u64) {
    if fields.first(Name::ContentLength).is_some_and(|text| text.len() > 1 && text[0] == b'0') {
        fields.set(Name::ContentLength, &[Decimal::of(length).as_bytes()]);
    }
}
