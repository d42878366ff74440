//! A client of the admin API that takes whatever comes: cutover may be dead, or busy with dying.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::support::http::{Connection, Request};

/// For one call. Longer than cutover takes to give up anything.
const PATIENCE: Duration = Duration::from_secs(90);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// The admin API of the one cutover.
#[derive(Clone, Debug)]
pub(crate) struct Admin(SocketAddr);

/// What became of a call.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// 2xx.
    Done(Value),
    /// Any other answer.
    Refused(u16, Value),
    /// No answer: it may have happened.
    Lost(String),
}

impl Admin {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self(address)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0
    }

    pub(crate) async fn call(&self, method: &str, path: &str, body: &Value) -> Outcome {
        match tokio::time::timeout(PATIENCE, self.ask(method, path, body)).await {
            Ok(Ok((status, value))) if (200..300).contains(&status) => Outcome::Done(value),
            Ok(Ok((status, value))) => Outcome::Refused(status, value),
            Ok(Err(error)) => Outcome::Lost(error.to_string()),
            Err(_) => Outcome::Lost(format!("no answer in {PATIENCE:?}")),
        }
    }

    /// Reads, if somebody answers.
    pub(crate) async fn get(&self, path: &str) -> Option<Value> {
        match self.call("GET", path, &Value::Null).await {
            Outcome::Done(value) => Some(value),
            Outcome::Refused(..) | Outcome::Lost(_) => None,
        }
    }

    /// Waits until it is ready; false if it is not within `limit`.
    pub(crate) async fn is_ready(&self, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        while Instant::now() < until {
            if matches!(self.call("GET", "/readyz", &Value::Null).await, Outcome::Done(_)) {
                return true;
            }
            tokio::time::sleep(PAUSE).await;
        }
        false
    }

    async fn ask(&self, method: &str, path: &str, body: &Value) -> std::io::Result<(u16, Value)> {
        let mut request = match body {
            Value::Null => Request::new(method, path),
            body => Request::post(path, body.to_string()).field("Content-Type", "application/json"),
        };
        request.method = method.to_owned();
        let request = request.field("Host", &self.0.to_string());
        let answer = Connection::try_open(self.0).await?.try_ask(&request).await?;
        Ok((answer.status(), serde_json::from_slice(&answer.body).unwrap_or_default()))
    }
}

impl Outcome {
    /// What stands in the way, in one line.
    pub(crate) fn why(&self) -> String {
        match self {
            Self::Done(_) => "done".to_owned(),
            Self::Refused(status, value) => {
                let reasons = value["reasons"].as_array().cloned().unwrap_or_default();
                let codes: Vec<_> = reasons.iter().filter_map(|reason| reason["code"].as_str()).collect();
                format!("{status} {} {codes:?}", value["detail"].as_str().unwrap_or_default())
            }
            Self::Lost(why) => format!("no answer: {why}"),
        }
    }
}
