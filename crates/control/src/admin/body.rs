//! The body of a request: bounded, JSON, and of the right shape, or refused by the name of what is wrong.
//!
//! It is read as JSON whatever its `Content-Type` says: `curl -d` declares a form. What keeps forms of foreign pages out is
//! the check of `Host` and `Origin`.

use std::time::Duration;

use axum::body::{Body, Bytes};
use http::StatusCode;
use http_body_util::BodyExt;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::problem::Problem;
use super::wire::json;
use crate::document::{Check, Path, Problems, Schema};

/// Longest body in bytes.
pub(crate) const BODY_MAX: usize = 64 * 1024;
/// Longest document of a service in bytes: it may list hundreds of backends.
pub(crate) const DOCUMENT_MAX: usize = 1024 * 1024;
/// Bytes beyond the longest body that are read and dropped before the answer.
const DROPPED_MAX: usize = 16 * 1024 * 1024;
/// Time in which the whole body must arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// What a route finds in its body.
pub(crate) trait FromBody: Sized + Send {
    /// Longest body in bytes.
    const MAX: usize = BODY_MAX;

    /// Parses the body, which may be empty.
    ///
    /// # Errors
    /// 400 for a wrong shape, 422 for values that make no sense.
    fn from_body(body: &[u8]) -> Result<Self, Problem>;
}

impl FromBody for () {
    fn from_body(_: &[u8]) -> Result<Self, Problem> {
        Ok(())
    }
}

/// A JSON object of the shape of `T`. An empty body counts as `{}`.
#[derive(Debug)]
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned + JsonSchema + Send> FromBody for Json<T> {
    fn from_body(body: &[u8]) -> Result<Self, Problem> {
        let (mut document, mut problems) = (parse(body)?, Problems::default());
        Schema::of::<T>().prune(&mut document, &Path::root(), &mut problems);
        if !problems.is_empty() {
            return Err(Problem::document(StatusCode::BAD_REQUEST, "malformed", problems));
        }
        // The schema and the type come from one definition: what the walk finds right deserializes.
        let value = serde_path_to_error::deserialize(document);
        value.map(Self).map_err(|error| {
            let field = error.path().to_string();
            Problem::malformed("malformed", &field, error.into_inner().to_string())
        })
    }
}

/// Any JSON document, up to a megabyte.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) value: Value,
    pub(crate) text: String,
}

impl FromBody for Document {
    const MAX: usize = DOCUMENT_MAX;

    fn from_body(body: &[u8]) -> Result<Self, Problem> {
        let value = parse(body)?;
        // What parses as JSON is UTF-8.
        Ok(Self { value, text: String::from_utf8_lossy(body).into_owned() })
    }
}

/// Makes sense of values whose shape is right. The result counts only if nothing was reported.
///
/// # Errors
/// 422 with everything that `sense` reported.
pub(crate) fn make_sense<T>(sense: impl FnOnce(&mut Check<'_>) -> Option<T>) -> Result<T, Problem> {
    let mut problems = Problems::default();
    let value = sense(&mut Check::new(Path::root(), &mut problems));
    match value {
        Some(value) if problems.is_empty() => Ok(value),
        _ => Err(Problem::document(StatusCode::UNPROCESSABLE_ENTITY, "invalid", problems)),
    }
}

/// Reads the whole body.
///
/// # Errors
/// 413 beyond `max`, 408 when it takes too long, 400 when it ends early.
pub(crate) async fn collect(body: Body, max: usize) -> Result<Bytes, Problem> {
    tokio::time::timeout(BODY_TIMEOUT, read(body, max)).await.unwrap_or_else(|_| {
        Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", "the body did not arrive in time"))
    })
}

/// What is too long is read on for a while and dropped: a connection that closes while the caller still writes is reset, and the
/// caller never sees why.
async fn read(mut body: Body, max: usize) -> Result<Bytes, Problem> {
    let (mut taken, mut length) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            Problem::new(StatusCode::BAD_REQUEST, "body_broken", format!("the body broke off: {error}"))
        })?;
        let Ok(data) = frame.into_data() else { continue };
        length += data.len();
        if length <= max {
            taken.extend_from_slice(&data);
        } else if length - max > DROPPED_MAX {
            break;
        }
    }
    if length > max {
        let detail = format!("the body is longer than {max} bytes");
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail));
    }
    Ok(taken.into())
}

fn parse(body: &[u8]) -> Result<Value, Problem> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Value::Object(Map::new()));
    }
    json::parse(body).map_err(|error| {
        Problem::new(StatusCode::BAD_REQUEST, "malformed_json", format!("the body is no JSON: {error}"))
    })
}
