//! Routing and deciding, and waiting for a backend where one may come.

use std::rc::Rc;

use cutover_core::decide::{Choice, Decision};
use cutover_core::pin::{NoPin, Pin};
use http::request;
use tokio::time::Instant;

use crate::connection::Client;
use crate::error::Error;
use crate::exchange::Exchange;
use crate::facts::{self, Authority, Head, HostError};
use crate::forwarded::Origin;
use crate::view::{ServiceView, View};

/// A request that was decided.
pub(crate) struct Decided {
    /// What it was decided by. Everything about the request goes on by this view, whatever is published meanwhile.
    pub(crate) view: Rc<View>,
    pub(crate) service: Rc<ServiceView>,
    pub(crate) choice: Choice,
    /// The key for balancing by hash, for choosing again.
    pub(crate) hash_key: Option<u64>,
}

/// A request's way to its decision.
pub(crate) struct Asking<'a> {
    pub(crate) client: &'a Client,
    pub(crate) head: &'a request::Parts,
    pub(crate) authority: Authority<'a>,
    pub(crate) origin: Origin,
}

impl Asking<'_> {
    /// The service that the request is for, in the latest view, by its place.
    pub(crate) fn route(&self) -> Result<(Rc<View>, usize), Error> {
        let view = self.client.worker.view();
        let at = view.snapshot.route(self.authority.host, self.head.uri.path()).ok_or(Error::NoRoute)?;
        Ok((view, at))
    }

    /// The request's pin for a service.
    pub(crate) fn pin(&self, view: &View, service: usize) -> Result<Pin, NoPin> {
        self.facts().read(&view.services[service].set, &view.keyring, self.client.worker.clock.now()).pin
    }

    /// Decides, waiting for a backend if one may come. The in-flight count begins in the same breath as the decision, so that no drain can slip in between.
    pub(crate) async fn decide(&self, exchange: &mut Exchange) -> Result<Decided, Error> {
        let worker = &self.client.worker;
        let mut waiting = None;
        loop {
            let (view, at) = self.route()?;
            let service = &view.services[at];
            let now = worker.clock.now();
            let given = self.facts().read(&service.set, &view.keyring, now);
            let may_wait = waiting.as_ref().is_none_or(|(until, _)| Instant::now() < *until);
            let facts = given.facts(at, may_wait, now);
            let decision = view.snapshot.decide(&facts, &mut worker.entropy.borrow_mut());
            match decision {
                Decision::Serve(choice) => {
                    exchange.decided(service, choice.version);
                    let (service, hash_key) = (Rc::clone(service), given.hash_key);
                    return Ok(Decided { view, service, choice, hash_key });
                }
                Decision::Unavailable => return Err(Error::Unavailable),
                Decision::MissingVersion(what) => return Err(Error::MissingVersion(what)),
                Decision::Wait => {}
            }
            let until = match &waiting {
                Some((until, _)) => *until,
                None => {
                    let place = worker.queue.enter().ok_or(Error::Overloaded)?;
                    let until = Instant::now() + service.set.policy.queue_timeout.into();
                    waiting = Some((until, place));
                    until
                }
            };
            worker.changed(until).await;
        }
    }

    fn facts(&self) -> Head<'_> {
        Head {
            uri: &self.head.uri,
            headers: &self.head.headers,
            client: self.origin.client,
            is_secure: self.origin.is_secure,
        }
    }
}

/// The host that a request is for.
pub(crate) fn authority(head: &request::Parts) -> Result<Authority<'_>, Error> {
    facts::authority(head.version, &head.uri, &head.headers).map_err(|error| {
        Error::Malformed(match error {
            HostError::Missing => "it names no host",
            HostError::Several => "it has more than one Host field",
            HostError::Invalid => "its Host field is not a host",
        })
    })
}
