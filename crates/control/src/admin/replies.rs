//! `Idempotency-Key`: a POST that is sent again is answered the same again, and done once.
//!
//! A request with a key runs in a task of its own: a caller who gives up and tries again meets the first attempt, still running or
//! done, and never starts a second one. Keys are kept in memory; after a restart the guards of the commands themselves
//! (`if_epoch`, `If-Match`) are what tells a repetition from a new request.

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
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use super::api::Api;
use super::body;
use super::problem::Problem;
use crate::timeline::Actor;

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Longest key in bytes.
const KEY_MAX: usize = 255;
/// Keys that are kept; beyond, the oldest goes.
const KEPT_MAX: usize = 10_000;
/// How long a key is kept.
const KEPT_FOR: Duration = Duration::from_secs(24 * 3600);

/// A key, and whose it is: callers can't see each other's answers.
type Key = (String, String);
type Fingerprint = [u8; 32];

/// The answers that are kept.
#[derive(Debug, Default)]
pub(crate) struct Replies(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    entries: HashMap<Key, Entry>,
    /// The same keys by their numbers, oldest first.
    order: BTreeMap<u64, Key>,
    next_number: u64,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    fingerprint: Fingerprint,
    began_at: Instant,
    reply: watch::Receiver<Option<Reply>>,
}

#[derive(Debug, Clone)]
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

enum Claim {
    /// Nobody used the key before.
    First(Attempt),
    /// The same request was made before.
    Again(watch::Receiver<Option<Reply>>),
    /// Another request was made with this key.
    Other,
    /// Every key that is kept belongs to a request that is still running.
    Full,
}

/// The first request with a key. Dropped without an answer it gives the key free.
struct Attempt {
    replies: Arc<Replies>,
    key: Key,
    reply: watch::Sender<Option<Reply>>,
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
    let key = key(&request)?;
    let (parts, body) = request.into_parts();
    let body = body::collect(body, body::BODY_MAX).await?;
    let mut hash = Sha256::new();
    hash.update(parts.uri.to_string());
    for part in [parts.headers.get(IF_MATCH).map_or(&[][..], |value| value.as_bytes()), &body] {
        hash.update([0]);
        hash.update(part);
    }
    let mut reply = match api.replies().claim(key, hash.finalize().into(), Instant::now()) {
        Claim::First(attempt) => {
            let reply = attempt.reply.subscribe();
            let request = Request::from_parts(parts, Body::from(body));
            tokio::spawn(async move { attempt.finish(next.run(request).await).await });
            reply
        }
        Claim::Again(reply) => reply,
        Claim::Other => {
            let detail = "this Idempotency-Key was used for another request";
            return Err(Problem::nonsense("Idempotency-Key", detail));
        }
        Claim::Full => {
            let detail = "too many requests with an Idempotency-Key are running";
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "overloaded", detail).retriable());
        }
    };
    let reply = reply.wait_for(Option::is_some).await.ok().and_then(|reply| reply.clone());
    // The first attempt ended without an answer: it panicked.
    reply.map(IntoResponse::into_response).ok_or_else(Problem::internal)
}

fn key(request: &Request) -> Result<Key, Problem> {
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
    Ok((actor.name.clone(), value.to_owned()))
}

impl Replies {
    fn claim(self: &Arc<Self>, key: Key, fingerprint: Fingerprint, now: Instant) -> Claim {
        let mut kept = self.kept();
        kept.forget_outdated(now);
        if let Some(entry) = kept.entries.get(&key) {
            let is_same = entry.fingerprint == fingerprint;
            return if is_same { Claim::Again(entry.reply.clone()) } else { Claim::Other };
        }
        if !kept.make_room() {
            return Claim::Full;
        }
        let (sender, reply) = watch::channel(None);
        let number = kept.next_number;
        kept.next_number += 1;
        kept.order.insert(number, key.clone());
        kept.entries.insert(key.clone(), Entry { number, fingerprint, began_at: now, reply });
        Claim::First(Attempt { replies: Arc::clone(self), key, reply: sender })
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
            |key: &Key| self.entries.get(key).is_none_or(|entry| entry.reply.borrow().is_some());
        let oldest = self.order.values().find(|&key| is_answered(key)).cloned();
        oldest.as_ref().inspect(|key| self.release(key)).is_some()
    }

    fn release(&mut self, key: &Key) {
        if let Some(entry) = self.entries.remove(key) {
            self.order.remove(&entry.number);
        }
    }
}

impl Attempt {
    /// Keeps the answer, unless it invites to try again.
    async fn finish(self, response: Response) {
        let (parts, body) = response.into_parts();
        // Answers to POST come from memory: they end, and can't fail.
        let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let reply = Reply { status: parts.status, headers: parts.headers, body };
        let is_final = !matches!(reply.status.as_u16(), 408 | 429 | 500..);
        if !is_final {
            self.replies.kept().release(&self.key);
        }
        self.reply.send_replace(Some(reply));
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if self.reply.borrow().is_none() {
            self.replies.kept().release(&self.key);
        }
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        (self.status, self.headers, self.body).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> Key {
        ("deploy".to_owned(), number.to_string())
    }

    fn claim(replies: &Arc<Replies>, number: usize) -> Claim {
        replies.claim(key(number), [0; 32], Instant::now())
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
        let at = |secs, print| replies.claim(key(1), [print; 32], now + Duration::from_secs(secs));
        assert!(matches!(at(24 * 3600 - 10, 0), Claim::Again(_)));
        assert!(matches!(at(24 * 3600 - 10, 1), Claim::Other));
        assert!(matches!(at(24 * 3600 + 10, 1), Claim::First(_)));
    }

    #[tokio::test]
    async fn an_answer_that_invites_to_try_again_is_not_kept() {
        let replies = Arc::default();
        for status in [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS] {
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
        assert!(kept.order.len() == KEPT_MAX && !kept.entries.contains_key(&key(7)));
        drop(kept);
    }
}
