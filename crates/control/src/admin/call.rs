//! One call of the API, read whole: names in the path, query, precondition, body, who asks, and under which key.

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use cutover_core::command::{Change, Command};
use cutover_core::id::{Revision, ServiceName};
use http::HeaderMap;
use http::header::IF_MATCH;

use super::answer::{Answer, Answered};
use super::api::Api;
use super::body::{self, FromBody};
use super::names::{self, FromPath};
use super::problem::Problem;
use super::query::{self, FromQuery};
use super::replies::RequestKey;
use super::wire::json::Written;
use crate::error::SubmitError;
use crate::handle::{self, Done};
use crate::reply::{Once, Reply};
use crate::timeline::Actor;

/// A call with the names `P`, the query `Q` and the body `B`. Whatever is wrong with any of them is answered before the handler runs.
#[derive(Debug)]
pub(crate) struct Call<P = (), Q = (), B = ()> {
    /// The names in the path.
    pub(crate) at: P,
    /// The parameters of the query.
    pub(crate) query: Q,
    /// What the body says.
    pub(crate) body: B,
    /// Who asks.
    pub(crate) actor: Actor,
    if_match: Option<Revision>,
    key: Option<RequestKey>,
}

impl<P, Q, B> Call<P, Q, B> {
    /// What is asked of the control plane.
    pub(crate) fn request(&self, command: Command, reason: Option<String>) -> handle::Request {
        let if_match = self.if_match;
        handle::Request { reason, if_match, ..handle::Request::new(command, self.actor.clone()) }
    }

    /// What is asked of one service.
    pub(crate) fn change(
        &self,
        service: &ServiceName,
        change: Change,
        reason: Option<String>,
    ) -> handle::Request {
        self.request(Command::Service(service.clone(), change), reason)
    }

    /// Whether the call is about this state, as far as it says so.
    ///
    /// # Errors
    /// `If-Match` names another revision.
    pub(crate) fn is_about(&self, current: Revision) -> Result<(), Problem> {
        match self.if_match {
            Some(expected) if expected != current => Err(SubmitError::RevisionMismatch { current }.into()),
            Some(_) | None => Ok(()),
        }
    }

    /// Has a request carried out and answers what `answer` makes of it; once, if the call has a key: then the answer is kept together with
    /// the change, and is what every repetition gets.
    pub(crate) async fn carry_out<T: Written>(
        &self,
        api: &Api,
        mut request: handle::Request,
        answer: impl Fn(&Done) -> Answered<T> + Send + Sync + 'static,
    ) -> Result<Reply, Problem> {
        let answer = Arc::new(move |done: &Done| answer(done).and_then(Answer::write));
        request.once = self.key.map(|RequestKey { id, fingerprint }| {
            let answer = Arc::clone(&answer);
            Once { id, fingerprint, answer: Arc::new(move |done| answer(done).ok()) }
        });
        let done = api.control().submit(request).await?;
        done.reply.clone().map_or_else(|| answer(&done), Ok)
    }
}

impl<P: FromPath, Q: FromQuery, B: FromBody> FromRequest<Api> for Call<P, Q, B> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        // Only `auth::demand` puts it there: a route that nobody guards answers nothing.
        let actor = parts.extensions.get::<Actor>().cloned().ok_or_else(Problem::internal)?;
        let names = RawPathParams::from_request_parts(&mut parts, api).await;
        let names = names.map_err(|rejection| names::malformed(&rejection))?;
        let at = P::from_path(&names)?;
        let query = query::read(&parts.uri)?;
        let if_match = if_match(&parts.headers)?;
        let key = parts.extensions.get::<RequestKey>().copied();
        let bytes = body::collect(body, B::MAX).await?;
        Ok(Self { at, query, body: B::from_body(&bytes)?, actor, if_match, key })
    }
}

/// `If-Match: "<revision>"` (RFC 9110 section 13.1.1), or the bare number, as `Cutover-Revision` gives it. `*` asks for nothing: there
/// always is a state.
fn if_match(headers: &HeaderMap) -> Result<Option<Revision>, Problem> {
    let mut values = headers.get_all(IF_MATCH).iter();
    let value = match (values.next(), values.next()) {
        (None, _) => return Ok(None),
        (Some(value), None) => value.to_str().unwrap_or_default().trim(),
        (Some(_), Some(_)) => "",
    };
    if value == "*" {
        return Ok(None);
    }
    let unquoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    let number = Some(unquoted).filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
    let revision = number.and_then(|number| number.parse().ok());
    revision.map(|revision| Some(Revision(revision))).ok_or_else(|| {
        let detail = "If-Match must be one revision, such as \"17\"";
        Problem::malformed("malformed_precondition", "If-Match", detail)
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_precondition_is_one_revision() {
        let read = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(IF_MATCH, HeaderValue::from_static(value));
            }
            if_match(&headers).map_err(|problem| problem.status().as_u16())
        };
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&["*"]), Ok(None));
        assert_eq!(read(&["\"17\""]), Ok(Some(Revision(17))));
        assert_eq!(read(&["17"]), Ok(Some(Revision(17))));
        for wrong in [
            &["\"17"][..],
            &[""],
            &["x"],
            &["\"x\""],
            &["\"+1\""],
            &["W/\"17\""],
            &["\"1\", \"2\""],
            &["\"1\"", "\"2\""],
        ] {
            assert_eq!(read(wrong), Err(400), "{wrong:?}");
        }
    }
}
