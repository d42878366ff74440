//! The search for a file in the other live versions, and then in the vault.

use std::cmp::Reverse;
use std::rc::Rc;

use cutover_core::decide::{Choice, PinAction};
use cutover_core::snapshot::ServiceSet;
use tokio::time::Instant;

use super::held::Held;
use super::kept::{self, Kept};
use super::miss;
use crate::error::Error;
use crate::message::name::Name;
use crate::pin::cookie::Going;
use crate::serve::decide::Decided;
use crate::serve::exchange::Exchange;
use crate::serve::forward::{self, Backend, Outgoing};
use crate::telemetry::metrics::AssetOutcome;

/// Versions that are asked beside the chosen one: more are hardly ever live, and a client that guesses names must not multiply its
/// requests by more.
const OTHERS_MAX: usize = 4;

/// Where a file was found, or was not.
pub(crate) enum Found {
    /// With a backend. Where no version has it, that is the one of the chosen version that said so.
    Backend(Backend),
    /// In the vault.
    Kept(Kept),
}

/// Looks for a file that the chosen version does not have, whose answer is `miss`. The head of the best answer is in the scratch
/// afterwards, and `decided` is whose it is.
///
/// Each of the other versions is asked once, the time for an answer holding for all of them together. This is no retry and not charged as one: nothing
/// has failed, the load goes to versions that have little else to do, and right after a flip such requests are many.
pub(crate) async fn search(
    exchange: &mut Exchange<'_>,
    decided: &mut Decided,
    outgoing: &Outgoing,
    miss: Backend,
) -> Result<Found, Error> {
    let miss = Held::take(exchange, decided, miss);
    // Answers before the answer would have to be of the version that answers in the end.
    let outgoing = Outgoing { is_http11: false, ..*outgoing };
    let until = Instant::now() + decided.service.set.policy.upstream.response_timeout.into();
    for version in others(&decided.service.set, decided.choice.version) {
        if Instant::now() >= until {
            break;
        }
        let Some(mut other) = decided.elsewhere(exchange, version) else { continue };
        exchange.decided(&other.service, version);
        let backend = match forward::forward(exchange, &mut other, &outgoing).await {
            Ok(backend) => backend,
            Err(Error::ClientGone) => return Err(Error::ClientGone),
            Err(_) => continue,
        };
        if miss::is_hit(exchange.scratch.asked.path(), &exchange.scratch.answer) {
            miss.discard(decided);
            // What that version thinks of the session is nobody's concern: it is not its session.
            exchange.scratch.answer.fields.remove(Name::CutoverPin);
            other.choice.member = backend.member;
            *decided = other;
            exchange.found(AssetOutcome::OtherVersion);
            return Ok(Found::Backend(backend));
        }
        Held::take(exchange, &other, backend).discard(&other);
    }
    let kept = kept::find(exchange, &decided.service).await;
    let miss = miss.restore(exchange, decided);
    if let Some(kept) = kept {
        Held::take(exchange, decided, miss).discard(decided);
        return Ok(Found::Kept(kept));
    }
    miss::forbid_storing(&mut exchange.scratch.answer.fields);
    exchange.found(AssetOutcome::Miss);
    Ok(Found::Backend(miss))
}

/// The places of the other versions that serve sessions: those that were active, the latest first, then the others. A staged one gets no
/// user traffic, and a drained one must stay so.
fn others(set: &ServiceSet, chosen: usize) -> impl Iterator<Item = usize> + use<> {
    let is_asked = |at: usize| at != chosen && set.versions[at].serves_pins() && set.versions[at].ready > 0;
    let mut places: Vec<usize> = (0..set.versions.len()).filter(|&at| is_asked(at)).collect();
    places.sort_by_key(|&at| Reverse(set.versions[at].epoch));
    places.into_iter().take(OTHERS_MAX)
}

impl Decided {
    /// The same request in another version, if that has a member to send it to. The pin stays what it is.
    fn elsewhere(&self, exchange: &Exchange<'_>, version: usize) -> Option<Self> {
        let now = Instant::now();
        let facts = self.facts(0, false, now, exchange);
        let set = &self.service.set;
        let mut entropy = exchange.client.worker.entropy.borrow_mut();
        let member = set.choose_again(&set.versions[version], &[], &facts, &mut entropy)?;
        let pin = self.pin.map_or(PinAction::None, PinAction::Keep);
        Some(Self {
            view: Rc::clone(&self.view),
            service: Rc::clone(&self.service),
            choice: Choice { version, member, pin, is_outdated: self.choice.is_outdated },
            hash_key: self.hash_key,
            pin: self.pin,
            is_navigation: false,
            preview: None,
            // They are gone from its head.
            going: Going::Nothing,
            is_explicit: false,
            is_search: true,
            prefix_len: self.prefix_len,
            at: now,
        })
    }
}
