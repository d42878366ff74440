//! Routing and deciding, and waiting for a backend where one may come.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use cutover_core::decide::{Choice, Decision};
use cutover_core::pin::{NoPin, Pin};
use cutover_core::preview::Preview;
use cutover_core::route::Found;
use tokio::time::Instant;

use crate::error::Error;
use crate::pin::PinOutcome;
use crate::pin::cookie::Going;
use crate::pin::keyring::Remembering;
use crate::pin::preview::PreviewOutcome;
use crate::serve::ask::HALF_CLOSED;
use crate::serve::exchange::Exchange;
use crate::serve::facts::{Given, Head};
use crate::worker::view::{ServiceView, View};

/// A request that was decided.
pub(crate) struct Decided {
    /// What it was decided by. Everything about the request goes on by this view, whatever is published meanwhile.
    pub(crate) view: Rc<View>,
    pub(crate) service: Rc<ServiceView>,
    pub(crate) choice: Choice,
    /// The key for balancing by hash, for choosing again.
    pub(crate) hash_key: Option<u64>,
    /// The leave to try a version out with which the request came, for deciding anew.
    pub(crate) preview: Option<Preview>,
    /// The pin that the request came with, for deciding anew.
    pub(crate) pin: Result<Pin, NoPin>,
    /// Whether the request is a navigation, for deciding anew.
    pub(crate) is_navigation: bool,
    /// The cookies of the request that are not for the app.
    pub(crate) going: Going,
    /// Whether the version is the one that the request names.
    pub(crate) is_explicit: bool,
    /// Whether it is the search for a file in a version that was not chosen: it ends with that version.
    pub(crate) is_search: bool,
    /// Bytes of the path that are the prefix by which the service was found.
    pub(crate) prefix_len: usize,
    /// When that was.
    pub(crate) at: Instant,
}

impl From<Error> for Undecided {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

/// Where a request goes, and by which view.
pub(crate) struct Routed {
    pub(crate) view: Rc<View>,
    pub(crate) found: Found,
}

impl Routed {
    pub(crate) fn service(&self) -> &Rc<ServiceView> {
        &self.view.services[self.found.service]
    }
}

/// Where the request goes by the latest view. What it gets from now on, it gets in the name of that service.
pub(crate) fn route(exchange: &mut Exchange<'_>) -> Result<Routed, Error> {
    let view = exchange.client.worker.view();
    let host = &exchange.scratch.authority[..exchange.scratch.host_len];
    let found = view.snapshot.route(host, exchange.scratch.asked.path()).ok_or(Error::NoRoute)?;
    let routed = Routed { view, found };
    exchange.routed(routed.service());
    Ok(routed)
}

/// What the request brings for a service.
pub(crate) fn given<'a>(exchange: &'a Exchange<'_>, routed: &Routed) -> Given<'a> {
    let now = exchange.client.worker.clock.at(exchange.began);
    facts(exchange).read(&routed.service().set, &keyring(exchange, &routed.view), now)
}

/// Why a request is not decided.
pub(crate) enum Undecided {
    /// A backend may come, which is [waited](decide_later) for.
    Waits,
    /// It can't be.
    Refused(Error),
}

/// Decides at once.
pub(crate) fn decide(exchange: &mut Exchange<'_>, routed: Routed) -> Result<Decided, Undecided> {
    decide_at(exchange, routed, exchange.began, true)
}

/// Waits for a backend, and decides when one may be there.
pub(crate) async fn decide_later(exchange: &mut Exchange<'_>) -> Result<Decided, Error> {
    let _place = exchange.client.worker.queue.enter().ok_or(Error::Overloaded)?;
    let patience = exchange.service().map(|service| service.set.policy.queue_timeout.into());
    let until = exchange.began + patience.unwrap_or_default();
    loop {
        wait(exchange, until).await?;
        let now = Instant::now();
        let routed = route(exchange)?;
        match decide_at(exchange, routed, now, now < until) {
            Ok(decided) => return Ok(decided),
            Err(Undecided::Waits) => {}
            Err(Undecided::Refused(error)) => return Err(error),
        }
    }
}

/// The decision by what is known at `now`. A request is only told to wait if it `may_wait`. The in-flight count begins in the same breath,
/// so that no drain can slip in between.
fn decide_at(
    exchange: &mut Exchange<'_>,
    routed: Routed,
    now: Instant,
    may_wait: bool,
) -> Result<Decided, Undecided> {
    let worker = &exchange.client.worker;
    let Routed { view, found } = routed;
    let service = &view.services[found.service];
    let wall = worker.clock.at(now);
    let given = facts(exchange).read(&service.set, &keyring(exchange, &view), wall);
    let facts = given.facts(found.service, may_wait, wall);
    let choice = match view.snapshot.decide(&facts, &mut worker.entropy.borrow_mut()) {
        Decision::Serve(choice) => choice,
        Decision::Wait => return Err(Undecided::Waits),
        Decision::Unavailable => return Err(Error::Unavailable.into()),
        Decision::MissingVersion(what) => return Err(Error::MissingVersion(what).into()),
        Decision::NoPreview => {
            tell_preview(service, Ok(PreviewOutcome::Unavailable));
            exchange.pinned(PinOutcome::Preview);
            return Err(Error::PreviewUnavailable.into());
        }
    };
    let label = service.set.versions[choice.version].label.as_str();
    let is_explicit = given.explicit.as_deref() == Some(label);
    let Given { hash_key, pin, is_navigation, preview, going, .. } = given;
    let service = Rc::clone(service);
    tell_preview(&service, preview.map(|_| PreviewOutcome::Served));
    exchange.decided(&service, choice.version);
    Ok(Decided {
        view,
        service,
        choice,
        hash_key,
        preview: preview.ok(),
        pin,
        is_navigation,
        going,
        is_explicit,
        is_search: false,
        prefix_len: found.prefix_len,
        at: now,
    })
}

/// Waits until there may be a newer view, or until `until`. Who leaves meanwhile leaves its place to others.
pub(crate) async fn wait(exchange: &mut Exchange<'_>, until: Instant) -> Result<(), Error> {
    let worker = &exchange.client.worker;
    let mut changed = pin!(worker.changed(until));
    let mut half_closed = None;
    poll_fn(|cx| {
        if changed.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        if exchange.watch_client(&mut half_closed, cx).is_err() {
            return Poll::Ready(Err(Error::ClientGone));
        }
        exchange.alarm.poll(half_closed.map(|at| at + HALF_CLOSED), cx).map(|()| Err(Error::ClientGone))
    })
    .await
}

/// Counts what became of a request's preview, if it has one.
fn tell_preview(service: &ServiceView, outcome: Result<PreviewOutcome, NoPin>) {
    if outcome != Err(NoPin::Absent) {
        service.metrics.preview(outcome.unwrap_or_else(PreviewOutcome::from));
    }
}

fn facts<'a>(exchange: &'a Exchange<'_>) -> Head<'a> {
    Head {
        query: exchange.scratch.asked.query(),
        fields: &exchange.scratch.asked.fields,
        client: exchange.origin.client,
        is_secure: exchange.origin.is_secure,
    }
}

pub(crate) fn keyring<'a>(exchange: &'a Exchange<'_>, view: &'a View) -> Remembering<'a> {
    Remembering { keyring: &view.keyring, known: &exchange.client.known_pin }
}
