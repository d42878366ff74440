//! Leave to restart a backend: asked for until it is given, whatever happens to the server meanwhile.

use std::ops::ControlFlow;
use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::change::text;
use super::client::{CALL_TIMEOUT, Client, path};
use super::error::{Error, Problem, Reason};
use super::view::{Granted, NotYet};

/// How long the server is told to wait in one call: what is waited for is known again after each.
const ROUND: Duration = Duration::from_secs(5);
/// Time before a server is asked again that can't be reached, or that answered without waiting.
const PAUSE: Duration = Duration::from_millis(250);

/// The answer to somebody who wants to restart a backend.
#[derive(Debug)]
pub(crate) enum Asked {
    /// The backend is empty: it may be restarted.
    Granted(Granted, Value),
    /// It must wait.
    NotYet(NotYet, Value),
}

/// Asks once, for which the server takes up to `wait`.
///
/// # Errors
/// The server can't be reached, or refuses.
pub(crate) async fn ask(
    client: &Client,
    service: &str,
    backend: &str,
    wait: Duration,
) -> Result<Asked, Error> {
    let mut body = json!({ "backend": backend });
    if !wait.is_zero() {
        body["wait"] = json!(text(wait));
    }
    let path = path(&["services", service, "permits"]);
    let answer = client.call(Method::POST, &path, Some(&body), wait + CALL_TIMEOUT).await?;
    Ok(match answer.status {
        StatusCode::ACCEPTED => Asked::NotYet(client.view(&answer.body)?, answer.body),
        _ => Asked::Granted(client.view(&answer.body)?, answer.body),
    })
}

/// Asks until the permit is granted, also while the server can't be reached. `on_wait` is told what is waited for after each
/// round, and may end the wait. An error leaves no permit behind, as far as the server can be reached.
///
/// # Errors
/// [`Error::TimedOut`] after `limit`; a refusal; what was waited for, when `on_wait` ends the wait.
pub(crate) async fn wait_for(
    client: &Client,
    service: &str,
    backend: &str,
    limit: Duration,
    mut on_wait: impl FnMut(&str, &[Reason]) -> ControlFlow<()>,
) -> Result<(Granted, Value), Error> {
    let deadline = Instant::now() + limit;
    // The first answer comes at once: somebody may want to know what there is to wait for.
    let mut round = Duration::ZERO;
    loop {
        let began = Instant::now();
        match ask(client, service, backend, round).await {
            Ok(Asked::Granted(granted, document)) => return Ok((granted, document)),
            Ok(Asked::NotYet(not_yet, document)) => {
                if on_wait(&not_yet.state, &not_yet.reasons).is_break() {
                    withdraw(client, service, backend).await;
                    return Err(Error::Refused(refusal(service, backend, &not_yet, document)));
                }
            }
            Err(error) if error.is_passing() => {
                let is_over = on_wait("", &[unreachable(&error)]).is_break() || Instant::now() >= deadline;
                if is_over {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
        if Instant::now() >= deadline {
            withdraw(client, service, backend).await;
            return Err(Error::TimedOut { what: format!("{service}/{backend} has no permit"), limit });
        }
        if !round.is_zero() && began.elapsed() < PAUSE {
            sleep(PAUSE).await;
        }
        round = deadline.saturating_duration_since(Instant::now()).min(ROUND);
    }
}

/// Gives a permit back that is not used.
///
/// # Errors
/// There is none, or the server can't be reached.
pub(crate) async fn give_back(client: &Client, service: &str, backend: &str) -> Result<Value, Error> {
    let path = path(&["services", service, "permits", backend]);
    Ok(client.call(Method::DELETE, &path, None, CALL_TIMEOUT).await?.body)
}

/// Gives a permit back, if there is one and the server can be reached. Otherwise it ends at its deadline.
pub(crate) async fn withdraw(client: &Client, service: &str, backend: &str) {
    if let Err(error) = give_back(client, service, backend).await
        && !error.is_not_found()
    {
        tracing::warn!(%service, %backend, cause = %error, "the permit could not be given back");
    }
}

/// A permit that is not granted, as a refusal with all reasons.
pub(super) fn refusal(service: &str, backend: &str, not_yet: &NotYet, document: Value) -> Problem {
    let detail = match not_yet.state.as_str() {
        "draining" => format!("{service}/{backend} drains, and may be restarted when it is empty; ask again"),
        _ => format!("{service}/{backend} may not be restarted yet"),
    };
    Problem {
        status: StatusCode::ACCEPTED.as_u16(),
        title: "no permit yet".to_owned(),
        detail: Some(detail),
        reasons: not_yet.reasons.clone(),
        document,
    }
}

/// What is waited for, in one line.
pub(crate) fn in_words(state: &str, reasons: &[Reason]) -> String {
    let details: Vec<&str> = reasons.iter().map(|reason| reason.detail.as_str()).collect();
    let verb = if state == "draining" { "drains" } else { "waits" };
    match details.is_empty() {
        true => verb.to_owned(),
        false => format!("{verb}: {}", details.join("; ")),
    }
}

fn unreachable(error: &Error) -> Reason {
    Reason { code: "unreachable".to_owned(), detail: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_names_all_that_it_is_for() {
        let reason = |detail: &str| Reason { code: String::new(), detail: detail.to_owned() };
        assert_eq!(in_words("waiting", &[reason("a is out"), reason("b too")]), "waits: a is out; b too");
        assert_eq!(in_words("draining", &[]), "drains");
    }
}
