//! Waits for what a person or a script waits for: a role of a version, a state of a backend.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::client::{CALL_TIMEOUT, Client, encode, path};
use super::error::Error;
use super::table::until;
use super::view;
use crate::job::waiting::{QUIET, Waiting};

/// How long the server is told to wait in one call: how things stand is looked at after each.
const ROUND: Duration = Duration::from_secs(5);
/// Time between two looks where the server can't be told to wait.
const POLL: Duration = Duration::from_millis(200);

/// Waits until `version` has `role`, and answers the version; meanwhile it shows what stands in the way. A version that isn't known yet may
/// still appear.
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
    let mut waiting = Waiting::begin(format!("{service}: {version}"));
    let mut round_max = QUIET;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let round = left.min(round_max);
        let query = format!("?wait={}&timeout={}ms", encode(role), round.as_millis());
        let path = path(&["services", service, "versions", version]) + &query;
        match client.call(Method::GET, &path, None, round + CALL_TIMEOUT).await {
            Ok(answer) => return Ok(answer.body),
            Err(Error::Refused(problem)) if problem.status == 408 && Instant::now() < deadline => {
                waiting.show(&standing(client, service, version).await?);
                round_max = ROUND;
            }
            Err(Error::Refused(problem)) if problem.status == 408 => return Err(late()),
            Err(error) if error.is_not_found() => {
                client.get(&self::path(&["services", service])).await?;
                if Instant::now() >= deadline {
                    return Err(late());
                }
                if waiting.is_long() {
                    waiting.show("is not known yet");
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

/// Waits until `is_reached` holds for a backend. `otherwise` is said meanwhile, and when it doesn't within `limit`.
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
    let mut waiting = Waiting::begin(format!("{service}/{backend}"));
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
        if waiting.is_long() {
            waiting.show(&format!("{otherwise}: {}", of_backend(found)));
        }
        sleep(POLL).await;
    }
}

/// How it is with a version that is waited for, in a line.
async fn standing(client: &Client, service: &str, version: &str) -> Result<String, Error> {
    match client.read::<view::Version>(&path(&["services", service, "versions", version])).await {
        Ok((_, view)) => Ok(of_version(&view, jiff::Timestamp::now())),
        Err(error) if error.is_not_found() => Ok("is not known yet".to_owned()),
        Err(error) => Err(error),
    }
}

/// What is left of a version that drains; of another one, how much of it is usable.
fn of_version(version: &view::Version, now: jiff::Timestamp) -> String {
    let mut parts = vec![format!("is {}", version.role)];
    if version.role == "draining" {
        let tunnels = if version.tunnels == 1 { "tunnel" } else { "tunnels" };
        let counts = [(version.in_flight, "in flight"), (version.tunnels, tunnels)];
        parts.extend(counts.into_iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")));
        let pins = until(version.latest_pin_expiry.as_deref(), now);
        if !matches!(pins.as_str(), "-" | "over") {
            parts.push(format!("pins for {pins}"));
        }
        parts.extend(version.holds.keys().map(|hold| format!("held by {hold}")));
    } else {
        parts.push(format!("{} of {} backends usable", version.usable_backends, version.backends));
    }
    parts.join(", ")
}

fn of_backend(backend: &view::Backend) -> String {
    let view::Backend { admin, operational, identity, in_flight, .. } = backend;
    format!("{admin}, {operational}, identity {}, {in_flight} in flight", identity.state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_says_what_is_left_of_a_version_that_drains() {
        let now = "2026-11-22T10:00:00Z".parse().unwrap();
        let said = |version: Value| of_version(&serde_json::from_value(version).unwrap(), now);

        let left = json!({ "version": "v1", "role": "draining", "in_flight": 3, "tunnels": 1,
            "latest_pin_expiry": "2026-11-22T10:29:00Z", "holds": { "worker": {} } });
        assert_eq!(said(left), "is draining, 3 in flight, 1 tunnel, pins for 29m, held by worker");
        let almost =
            json!({ "version": "v1", "role": "draining", "latest_pin_expiry": "2026-11-22T09:00:00Z" });
        assert_eq!(said(almost), "is draining");
    }

    #[test]
    fn a_wait_says_how_much_of_a_new_version_is_usable() {
        let staged = json!({ "version": "v2", "role": "staged", "backends": 3, "usable_backends": 1 });
        let staged = serde_json::from_value(staged).unwrap();
        assert_eq!(of_version(&staged, jiff::Timestamp::UNIX_EPOCH), "is staged, 1 of 3 backends usable");
    }
}
