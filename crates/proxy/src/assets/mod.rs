//! Assets across versions: a file that the chosen version does not have is looked for in the others.
//!
//! A page that was opened before a flip goes on asking for files of its own version. They are found where they are, and nothing else
//! changes by it: the session stays where it is pinned.

mod elsewhere;
mod fresh;
mod held;
mod kept;
mod miss;
mod transcript;

pub(crate) use elsewhere::{Found, search};
use http::Method;
pub(crate) use kept::Reads;
pub(crate) use transcript::{Transcript, copy};

use std::rc::Rc;

use crate::error::Error;
use crate::serve::Next;
use crate::serve::decide::Decided;
use crate::serve::exchange::Exchange;
use crate::serve::forward::Outgoing;
use crate::telemetry::metrics::{AssetOutcome, Fault};
use crate::worker::view::ServiceView;

/// Whether what the chosen version answered says that it does not have the asset that was asked for. What is no asset is never missed.
pub(crate) fn is_missed(exchange: &mut Exchange<'_>, decided: &Decided, outgoing: &Outgoing) -> bool {
    let policy = &decided.service.set.policy.assets;
    // Who tries a version out wants to see what it has, and nobody else may get that from the vault.
    if policy.paths.is_empty() || decided.preview.is_some() {
        return false;
    }
    if outgoing.wants_upgrade || !is_asset(exchange, &decided.service) {
        return false;
    }
    if miss::is_miss(exchange.scratch.asked.path(), &exchange.scratch.answer) {
        decided.version_set().traffic.answers.note_asset_miss();
        decided.service.metrics.versions[decided.choice.version].fault(Fault::AssetMiss);
        return true;
    }
    exchange.found(AssetOutcome::Hit);
    false
}

/// Answers a request that no backend answered from the vault, where it is for an asset that is there: that is as good as ever, and better
/// than the error that the client would get. `None` when it is not.
pub(crate) async fn instead(exchange: &mut Exchange<'_>, error: Error) -> Option<Next> {
    let is_answerless = matches!(
        error,
        Error::Unavailable
            | Error::Overloaded
            | Error::MissingVersion(_)
            | Error::NotConnected
            | Error::ConnectTimeout
            | Error::NoAnswer
            | Error::AnswerTimeout
            | Error::BadAnswer
    );
    let service = exchange.service().filter(|service| is_answerless && service.vault.is_some());
    let service = Rc::clone(service?);
    if !is_asset(exchange, &service) {
        return None;
    }
    let kept = kept::find(exchange, &service).await?;
    Some(kept.send(exchange, &service).await)
}

/// Whether it is a file that is asked for, and nothing else.
fn is_asset(exchange: &Exchange<'_>, service: &ServiceView) -> bool {
    let asked = &exchange.scratch.asked;
    // A request with a body may not be sent again, and nobody asks for a file with one.
    matches!(asked.method, Method::GET | Method::HEAD)
        && !exchange.is_bodied
        && service.set.policy.assets.has(asked.path())
}
