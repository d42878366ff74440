//! `Idempotency-Key`: a POST that is sent again is answered the same again, and done once.
//!
//! A request with a key runs in a task of its own: a caller who gives up and tries again meets the first attempt, still running or
//! done, and never starts a second one. What an attempt changed is kept with its answer in the store (see [`reply`](crate::reply)), where
//! the controller finds both again after a restart. Here, in memory, are the attempts that run, and beside them the answers of this
//! process, refusals included: a refusal that is forgotten changed nothing, so to carry its request out then is right.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::IF_MATCH;
use http::{HeaderMap, HeaderName, Method, StatusCode};
use http_body_util::BodyExt;
use tokio::sync::watch;

use super::api::Api;
use super::body;
use super::problem::Problem;
use crate::error::SubmitError;
use crate::reply::Digest;
use crate::timeline::Actor;

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Longest key in bytes.
const KEY_MAX: usize = 255;
/// Keys that are kept; beyond, the oldest goes.
const KEPT_MAX: usize = 10_000;
/// How long a key is kept.
const KEPT_FOR: Duration = Duration::from_secs(24 * 3600);

/// The key of a request, which handlers find among its extensions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestKey {
    /// The key and whose it is: callers can't see each other's answers.
    pub(crate) id: Digest,
    /// What tells this request from others with the same key.
    pub(crate) fingerprint: Digest,
}

/// The answers that are kept.
#[derive(Debug, Default)]
pub(crate) struct Replies(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    entries: HashMap<Digest, Entry>,
    /// The same keys by their numbers, oldest first.
    order: BTreeMap<u64, Digest>,
    next_number: u64,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    fingerprint: Digest,
    began_at: Instant,
    answered: watch::Receiver<Option<WholeResponse>>,
}

/// A response with its whole body.
#[derive(Debug, Clone)]
struct WholeResponse {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

enum Claim {
    /// Nobody used the key before.
    First(Attempt),
    /// The same request was made before.
    Again(watch::Receiver<Option<WholeResponse>>),
    /// Another request was made with this key.
    Other,
    /// Every key that is kept belongs to a request that is still running.
    Full,
}

/// The first request with a key. Dropped without an answer it gives the key free.
struct Attempt {
    replies: Arc<Replies>,
    id: Digest,
    answered: watch::Sender<Option<WholeResponse>>,
}

/// Answers a repeated POST from what is kept.
pub(crate) async fn repeat(
    State(api): State<Api>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if request.method() != Method::POST || !request.headers().contains_key(KEY) {
        return Ok(next.run(request).await);
    }
    let id = id(&request)?;
    let (mut parts, body) = request.into_parts();
    let body = body::collect(body, body::BODY_MAX).await?;
    let if_match = parts.headers.get(IF_MATCH).map_or(&[][..], |value| value.as_bytes());
    let fingerprint = Digest::of(&[parts.uri.to_string().as_bytes(), if_match, &body]);
    let key = RequestKey { id, fingerprint };
    let mut answered = match api.replies().claim(key, Instant::now()) {
        Claim::First(attempt) => {
            let answered = attempt.answered.subscribe();
            parts.extensions.insert(key);
            let request = Request::from_parts(parts, Body::from(body));
            tokio::spawn(async move { attempt.finish(next.run(request).await).await });
            answered
        }
        Claim::Again(answered) => answered,
        Claim::Other => return Err(SubmitError::KeyReused.into()),
        Claim::Full => {
            let detail = "too many requests with an Idempotency-Key are running";
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "overloaded", detail).retriable());
        }
    };
    let answered = answered.wait_for(Option::is_some).await.ok().and_then(|answered| answered.clone());
    // The first attempt ended without an answer: it panicked.
    answered.map(IntoResponse::into_response).ok_or_else(Problem::internal)
}

fn id(request: &Request) -> Result<Digest, Problem> {
    let mut values = request.headers().get_all(KEY).iter();
    let value = match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().unwrap_or_default(),
        _ => "",
    };
    if value.is_empty() || value.len() > KEY_MAX {
        let detail = format!("Idempotency-Key must be one value of 1 to {KEY_MAX} ASCII characters");
        return Err(Problem::malformed("malformed_key", "Idempotency-Key", detail));
    }
    let actor = request.extensions().get::<Actor>().ok_or_else(Problem::internal)?;
    Ok(Digest::of(&[actor.name.as_bytes(), value.as_bytes()]))
}

impl Replies {
    fn claim(self: &Arc<Self>, RequestKey { id, fingerprint }: RequestKey, now: Instant) -> Claim {
        let mut kept = self.kept();
        kept.forget_outdated(now);
        if let Some(entry) = kept.entries.get(&id) {
            let is_same = entry.fingerprint == fingerprint;
            return if is_same { Claim::Again(entry.answered.clone()) } else { Claim::Other };
        }
        if !kept.make_room() {
            return Claim::Full;
        }
        let (sender, answered) = watch::channel(None);
        let number = kept.next_number;
        kept.next_number += 1;
        kept.order.insert(number, id);
        kept.entries.insert(id, Entry { number, fingerprint, began_at: now, answered });
        Claim::First(Attempt { replies: Arc::clone(self), id, answered: sender })
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Held for lookups and insertions only, never across an await.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn forget_outdated(&mut self, now: Instant) {
        while let Some(oldest) = self.order.first_entry() {
            let entry = self.entries.get(oldest.get());
            if entry.is_some_and(|entry| now.duration_since(entry.began_at) < KEPT_FOR) {
                return;
            }
            self.entries.remove(&oldest.remove());
        }
    }

    /// Whether there is room for one more, if need be in place of the oldest that is answered.
    fn make_room(&mut self) -> bool {
        if self.entries.len() < KEPT_MAX {
            return true;
        }
        let is_answered =
            |id: &Digest| self.entries.get(id).is_none_or(|entry| entry.answered.borrow().is_some());
        let oldest = self.order.values().copied().find(is_answered);
        oldest.inspect(|id| self.release(id)).is_some()
    }

    fn release(&mut self, id: &Digest) {
        if let Some(entry) = self.entries.remove(id) {
            self.order.remove(&entry.number);
        }
    }
}

impl Attempt {
    /// Keeps the answer, unless it invites to try again or says that the request made no sense: another one may have the key.
    async fn finish(self, response: Response) {
        let (parts, body) = response.into_parts();
        // Answers to POST come from memory: they end, and can't fail.
        let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let answered = WholeResponse { status: parts.status, headers: parts.headers, body };
        let is_final = !matches!(answered.status.as_u16(), 408 | 422 | 429 | 500..);
        if !is_final {
            self.replies.kept().release(&self.id);
        }
        self.answered.send_replace(Some(answered));
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if self.answered.borrow().is_none() {
            self.replies.kept().release(&self.id);
        }
    }
}

impl IntoResponse for WholeResponse {
    fn into_response(self) -> Response {
        (self.status, self.headers, self.body).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize, print: u8) -> RequestKey {
        RequestKey { id: Digest::of(&[&number.to_be_bytes()]), fingerprint: Digest::of(&[&[print]]) }
    }

    fn claim(replies: &Arc<Replies>, number: usize) -> Claim {
        replies.claim(key(number, 0), Instant::now())
    }

    fn first(replies: &Arc<Replies>, number: usize) -> Attempt {
        match claim(replies, number) {
            Claim::First(attempt) => attempt,
            _ => panic!("key {number} is known"),
        }
    }

    async fn finish(attempt: Attempt, status: StatusCode) {
        attempt.finish(status.into_response()).await;
    }

    #[tokio::test]
    async fn a_key_is_kept_for_a_day() {
        let (replies, now) = (Arc::default(), Instant::now());
        finish(first(&replies, 1), StatusCode::OK).await;
        let at = |secs, print| replies.claim(key(1, print), now + Duration::from_secs(secs));
        assert!(matches!(at(24 * 3600 - 10, 0), Claim::Again(_)));
        assert!(matches!(at(24 * 3600 - 10, 1), Claim::Other));
        assert!(matches!(at(24 * 3600 + 10, 1), Claim::First(_)));
    }

    #[tokio::test]
    async fn an_answer_that_leaves_the_key_free_is_not_kept() {
        let replies = Arc::default();
        for status in [503, 429, 422].map(|status| StatusCode::from_u16(status).unwrap()) {
            finish(first(&replies, 1), status).await;
        }
        drop(first(&replies, 1));
        finish(first(&replies, 1), StatusCode::CONFLICT).await;
        assert!(matches!(claim(&replies, 1), Claim::Again(_)));
        assert_eq!(replies.kept().order.len(), 1);
    }

    #[tokio::test]
    async fn the_oldest_answered_key_makes_room() {
        let replies = Arc::default();
        let mut running: Vec<Attempt> = (0..KEPT_MAX).map(|number| first(&replies, number)).collect();
        assert!(matches!(claim(&replies, KEPT_MAX), Claim::Full));
        finish(running.remove(7), StatusCode::OK).await;
        let _newest = first(&replies, KEPT_MAX);
        let kept = replies.kept();
        assert!(kept.order.len() == KEPT_MAX && !kept.entries.contains_key(&key(7, 0).id));
        drop(kept);
    }
}
