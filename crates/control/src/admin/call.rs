//! One call of the API, read whole: names in the path, query, precondition, body, and who asks.

use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use cutover_core::command::{Change, Command};
use cutover_core::id::{Revision, ServiceName};
use http::HeaderMap;
use http::header::IF_MATCH;

use super::api::Api;
use super::body::{self, FromBody};
use super::names::{self, FromPath};
use super::problem::Problem;
use super::query::{self, FromQuery};
use crate::handle;
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
}

impl<P, Q, B> Call<P, Q, B> {
    /// What is asked of the control plane.
    pub(crate) fn request(&self, command: Command, reason: Option<String>) -> handle::Request {
        handle::Request { command, actor: self.actor.clone(), reason, if_match: self.if_match }
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
        let bytes = body::collect(body, B::MAX).await?;
        if !bytes.is_empty() {
            body::check_type(&parts.headers)?;
        }
        Ok(Self { at, query, body: B::from_body(&bytes)?, actor, if_match })
    }
}

/// `If-Match: "<revision>"` (RFC 9110 section 13.1.1). `*` asks for nothing: there always is a state.
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
    let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    let number = quoted.filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
    let revision = number.and_then(|number| number.parse().ok());
    revision.map(|revision| Some(Revision(revision))).ok_or_else(|| {
        let detail = "If-Match must be one revision in quotes, such as \"17\"";
        Problem::malformed("malformed_precondition", "If-Match", detail)
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_precondition_is_one_quoted_revision() {
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
        for wrong in
            [&["17"][..], &["\"x\""], &["\"+1\""], &["W/\"17\""], &["\"1\", \"2\""], &["\"1\"", "\"2\""]]
        {
            assert_eq!(read(wrong), Err(400), "{wrong:?}");
        }
    }
}
