//! Answers: JSON or nothing, each with the revision that it speaks of.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use cutover_core::id::Revision;
use cutover_core::rejected::Code;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, StatusCode};

use super::api::Api;
use super::problem::Problem;
use super::wire::json::Written;
use crate::error::SubmitError;
use crate::handle::Done;
use crate::reply::Reply;

/// The header with the revision.
pub(crate) const REVISION: HeaderName = HeaderName::from_static("cutover-revision");

/// What a handler answers: this, or a [`Problem`].
pub(crate) type Answered<T> = Result<Answer<T>, Problem>;

/// A JSON answer.
#[derive(Debug)]
pub(crate) struct Answer<T> {
    status: StatusCode,
    revision: Revision,
    body: T,
}

/// The answer to a DELETE that is done.
#[derive(Debug)]
pub(crate) struct Gone(pub(crate) Revision);

impl<T> Answer<T> {
    /// 200.
    pub(crate) const fn ok(revision: Revision, body: T) -> Self {
        Self { status: StatusCode::OK, revision, body }
    }

    /// 201 when something was made, 200 when it was there.
    pub(crate) fn put(is_new: bool, revision: Revision, body: T) -> Self {
        Self::ok(revision, body).created(is_new)
    }

    /// The same with 201, if something was made.
    pub(crate) fn created(mut self, is_new: bool) -> Self {
        if is_new {
            self.status = StatusCode::CREATED;
        }
        self
    }
}

impl Gone {
    /// What became of a DELETE. That there was nothing to delete, by `absent`, is done too: a repetition of a DELETE whose answer was
    /// lost is no error.
    ///
    /// # Errors
    /// Any other refusal, and every failure.
    pub(crate) fn also_if(absent: Code, api: &Api, done: Result<Done, SubmitError>) -> Result<Self, Problem> {
        match done {
            Ok(done) => Ok(Self(done.revision)),
            Err(SubmitError::Rejected(rejected))
                if rejected.reasons.iter().all(|reason| reason.code == absent) =>
            {
                Ok(Self(api.control().current().revision))
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl<T: Written> Answer<T> {
    /// The answer as it is sent.
    ///
    /// # Errors
    /// 500 for a body that has no form in JSON.
    pub(crate) fn write(self) -> Result<Reply, Problem> {
        let body = self.body.write().map_err(|error| {
            tracing::error!(%error, "an answer can't be written");
            Problem::internal()
        })?;
        Ok(Reply { status: self.status, revision: self.revision, body: body.into() })
    }
}

impl<T: Written> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        self.write().into_response()
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let headers = [
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (REVISION, self.revision.0.into()),
        ];
        (self.status, headers, self.body.to_string()).into_response()
    }
}

impl IntoResponse for Gone {
    fn into_response(self) -> Response {
        (StatusCode::NO_CONTENT, [(REVISION, HeaderValue::from(self.0.0))]).into_response()
    }
}

/// Gives every other answer the revision of now, and forbids caches to keep any: all of it is as of now. Only the files of the dashboard, which
/// say themselves how long they are good, are of no revision.
pub(crate) async fn stamp(State(api): State<Api>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    if headers.contains_key(CACHE_CONTROL) {
        return response;
    }
    headers.entry(REVISION).or_insert_with(|| api.control().current().revision.0.into());
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
