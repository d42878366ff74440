//! Waits for what a person or a script waits for: a role of a version, a state of a backend.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::client::{CALL_TIMEOUT, Client, encode, path};
use super::error::Error;
use super::view;

/// How long the server is told to wait in one call. Shorter than what proxies in between cut off.
const ROUND: Duration = Duration::from_secs(30);
/// Time between two looks where the server can't be told to wait.
const POLL: Duration = Duration::from_millis(200);

/// Waits until `version` has `role`, and answers the version. A version that isn't known yet may still appear.
///
/// # Errors
/// [`Error::TimedOut`] after `limit`; an unknown service at once.
pub(super) async fn for_role(
    client: &Client,
    service: &str,
    version: &str,
    role: &str,
    limit: Duration,
) -> Result<Value, Error> {
    let deadline = Instant::now() + limit;
    let late = || Error::TimedOut { what: format!("{service}: {version} is not {role}"), limit };
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let round = left.min(ROUND);
        let query = format!("?wait={}&timeout={}ms", encode(role), round.as_millis());
        let path = path(&["services", service, "versions", version]) + &query;
        match client.call(Method::GET, &path, None, round + CALL_TIMEOUT).await {
            Ok(answer) => return Ok(answer.body),
            Err(Error::Refused(problem)) if problem.status == 408 && Instant::now() < deadline => {}
            Err(Error::Refused(problem)) if problem.status == 408 => return Err(late()),
            Err(error) if error.is_not_found() => {
                client.get(&self::path(&["services", service])).await?;
                if Instant::now() >= deadline {
                    return Err(late());
                }
                sleep(POLL).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Waits until `version` is drained, and ends its drain when it is not after `limit`; answers the version.
///
/// # Errors
/// The server refuses: the version does not drain.
pub(super) async fn or_evict(
    client: &Client,
    service: &str,
    version: &str,
    limit: Duration,
) -> Result<Value, Error> {
    match for_role(client, service, version, "drained", limit).await {
        Err(Error::TimedOut { .. }) => {}
        ended => return ended,
    }
    let reason = json!({ "reason": "its time was over" });
    let path = path(&["services", service, "versions", version, "evict"]);
    match client.call(Method::POST, &path, Some(&reason), CALL_TIMEOUT).await {
        Ok(answer) => Ok(answer.body),
        // It may have been drained in that very moment.
        Err(refused) => {
            for_role(client, service, version, "drained", Duration::ZERO).await.map_err(|_| refused)
        }
    }
}

/// Waits until `is_reached` holds for a backend, and answers it. `otherwise` is said when it doesn't within `limit`.
///
/// # Errors
/// [`Error::TimedOut`] after `limit`; an unknown backend at once.
pub(super) async fn for_backend(
    client: &Client,
    service: &str,
    backend: &str,
    limit: Duration,
    otherwise: &str,
    is_reached: impl Fn(&view::Backend) -> bool,
) -> Result<(), Error> {
    let deadline = Instant::now() + limit;
    loop {
        let backends: view::Backends = client.read(&path(&["services", service, "backends"])).await?.1;
        let found = backends.backends.iter().find(|candidate| candidate.id == backend);
        let Some(found) = found else {
            return Err(Error::Usage(format!("{service} has no backend {backend:?} any more")));
        };
        if is_reached(found) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(Error::TimedOut { what: format!("{service}/{backend}: {otherwise}"), limit });
        }
        sleep(POLL).await;
    }
}
