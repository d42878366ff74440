//! The admin API as the demo uses it: over HTTP, like any deploy script.

use std::{net::SocketAddr, time::Duration};

use http_body_util::Full;
use hyper::{
    Method, Request, StatusCode,
    body::Bytes,
    header::{CONTENT_TYPE, HOST, HeaderValue},
};
use serde_json::{Value, json};

use super::{
    error::Error,
    http::{self, Connection},
    release::Release,
};

/// Time for one call, beside what it is told to wait.
const LIMIT: Duration = Duration::from_secs(10);
/// Lease of the demo's backends.
const LEASE: &str = "15s";

/// A client of the admin API with one connection.
#[derive(Debug)]
pub(super) struct Admin {
    address: SocketAddr,
    connection: Option<Connection>,
}

/// One backend as the admin API shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Backend {
    pub(super) id: String,
    pub(super) is_up: bool,
    /// The version that is known to run there, if any is.
    pub(super) version: Option<String>,
}

/// The answer to somebody who wants to restart a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Permit {
    /// It may be restarted.
    Granted { batch: u64, batches: u64 },
    /// It finishes what it has, and may be restarted then.
    Draining,
    /// It must wait: cutover's reasons, in one line.
    Waiting(String),
}

impl Admin {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self { address, connection: None }
    }

    /// Another client of the same API, for another task.
    pub(super) fn another(&self) -> Self {
        Self::new(self.address)
    }

    /// Whether cutover says that it is ready; false also while nobody listens.
    pub(super) async fn is_ready(&mut self) -> bool {
        self.call(Method::GET, "/readyz", None, LIMIT).await.is_ok()
    }

    /// Registers a backend with a lease; a service that knows versions by itself needs no label.
    pub(super) async fn register(
        &mut self,
        service: &str,
        backend: &str,
        address: SocketAddr,
        label: Option<&str>,
    ) -> Result<(), Error> {
        let mut body = json!({ "address": address.to_string(), "ttl": LEASE });
        if let Some(label) = label {
            body["version"] = json!(label);
        }
        let path = format!("/v1/services/{service}/backends/{backend}");
        self.call(Method::PUT, &path, Some(body), LIMIT).await.map(drop)
    }

    /// Keeps a lease; false if the backend must register again.
    pub(super) async fn heartbeat(&mut self, service: &str, backend: &str) -> Result<bool, Error> {
        let path = format!("/v1/services/{service}/backends/{backend}/heartbeat");
        match self.call(Method::POST, &path, Some(json!({})), LIMIT).await {
            Ok(_) => Ok(true),
            Err(Error::Refused { status: StatusCode::NOT_FOUND, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn deregister(&mut self, service: &str, backend: &str) -> Result<(), Error> {
        let path = format!("/v1/services/{service}/backends/{backend}?drain=0s");
        self.call(Method::DELETE, &path, None, LIMIT).await.map(drop)
    }

    /// Asks for leave to restart a backend, for which the server takes up to `wait`.
    pub(super) async fn permit(
        &mut self,
        service: &str,
        backend: &str,
        wait: Duration,
    ) -> Result<Permit, Error> {
        let path = format!("/v1/services/{service}/permits");
        let body = json!({ "backend": backend, "wait": format!("{}ms", wait.as_millis()) });
        let answer = self.call(Method::POST, &path, Some(body), wait + LIMIT).await?;
        if answer["granted"] != true {
            return Ok(match answer["state"].as_str() {
                Some("draining") => Permit::Draining,
                _ => Permit::Waiting(details(&answer)),
            });
        }
        let number = |field: &'static str| {
            let incomplete = || Error::Incomplete { call: format!("POST {path}"), field };
            answer.pointer(field).and_then(Value::as_u64).ok_or_else(incomplete)
        };
        Ok(Permit::Granted { batch: number("/batch")?, batches: number("/batches")? })
    }

    /// Where the roll of a service stands: `idle`, `running`, `frozen` or `done`.
    pub(super) async fn roll_state(&mut self, service: &str) -> Result<String, Error> {
        let path = format!("/v1/services/{service}/roll");
        let answer = self.call(Method::GET, &path, None, LIMIT).await?;
        let state = answer["state"].as_str().map(str::to_owned);
        state.ok_or_else(|| Error::Incomplete { call: format!("GET {path}"), field: "/state" })
    }

    /// Goes on with a frozen roll.
    pub(super) async fn resume(&mut self, service: &str) -> Result<(), Error> {
        let path = format!("/v1/services/{service}/roll");
        self.call(Method::POST, &path, Some(json!({ "action": "resume" })), LIMIT).await.map(drop)
    }

    pub(super) async fn backends(&mut self, service: &str) -> Result<Vec<Backend>, Error> {
        let call = format!("/v1/services/{service}/backends");
        let answer = self.call(Method::GET, &call, None, LIMIT).await?;
        let incomplete = |field| Error::Incomplete { call: format!("GET {call}"), field };
        let backends = answer["backends"].as_array().ok_or_else(|| incomplete("/backends"))?;
        let backend = |value: &Value| {
            let known = value.pointer("/identity/state").and_then(Value::as_str) == Some("known");
            let version = value.pointer("/identity/version").and_then(Value::as_str).filter(|_| known);
            Ok(Backend {
                id: value["id"].as_str().ok_or_else(|| incomplete("/backends/*/id"))?.to_owned(),
                is_up: value["operational"] == "up",
                version: version.map(str::to_owned),
            })
        };
        backends.iter().map(backend).collect()
    }

    /// The active version of a service, if it has one.
    pub(super) async fn active(&mut self, service: &str) -> Result<Option<String>, Error> {
        let answer = self.call(Method::GET, &format!("/v1/services/{service}"), None, LIMIT).await?;
        Ok(answer["active"].as_str().map(str::to_owned))
    }

    /// Whether a flip would be allowed now.
    pub(super) async fn may_flip(&mut self, service: &str, to: Release) -> Result<bool, Error> {
        let path = format!("/v1/services/{service}/flip");
        let answer = self
            .call(Method::POST, &path, Some(json!({ "to": to.to_string(), "dry_run": true })), LIMIT)
            .await?;
        Ok(answer["allowed"] == true)
    }

    pub(super) async fn flip(&mut self, service: &str, to: Release) -> Result<(), Error> {
        let body = json!({ "to": to.to_string(), "reason": "the demo's upgrade" });
        self.call(Method::POST, &format!("/v1/services/{service}/flip"), Some(body), LIMIT).await.map(drop)
    }

    pub(super) async fn rollback(&mut self, service: &str) -> Result<(), Error> {
        let body = json!({ "reason": "the demo shows a rollback" });
        self.call(Method::POST, &format!("/v1/services/{service}/rollback"), Some(body), LIMIT)
            .await
            .map(drop)
    }

    /// Takes the verdict `rejected` off a version.
    pub(super) async fn clear(&mut self, service: &str, version: Release) -> Result<(), Error> {
        let path = format!("/v1/services/{service}/versions/{version}/clear");
        self.call(Method::POST, &path, Some(json!({})), LIMIT).await.map(drop)
    }

    /// By what a version is drained, if it is: `proof` or `deadline`.
    pub(super) async fn drained(&mut self, service: &str, version: Release) -> Result<Option<String>, Error> {
        let path = format!("/v1/services/{service}/versions/{version}");
        let answer = self.call(Method::GET, &path, None, LIMIT).await?;
        Ok(answer.pointer("/drained/by").and_then(Value::as_str).map(str::to_owned))
    }

    /// One call; an answer other than 2xx is an error.
    async fn call(
        &mut self,
        method: Method,
        path: &str,
        body: Option<Value>,
        limit: Duration,
    ) -> Result<Value, Error> {
        let call = format!("{method} {path}");
        let broken = |source| Error::Call { call: call.clone(), source };
        let request =
            self.request(method, path, body.map(|body| body.to_string().into()).unwrap_or_default());
        let mut connection = match self.connection.take().filter(Connection::is_open) {
            Some(connection) => connection,
            None => Connection::open(self.address).await.map_err(broken)?,
        };
        let answer: http::Answer = connection.exchange(request, limit).await.map_err(broken)?;
        self.connection = Some(connection);
        // Probes answer plain text, DELETE nothing; whoever needs a field says so by its name.
        let value: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if answer.status.is_success() {
            return Ok(value);
        }
        Err(Error::Refused { call, status: answer.status, detail: details(&value) })
    }

    fn request(&self, method: Method, path: &str, body: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().unwrap_or_default();
        let headers = request.headers_mut();
        if let Ok(host) = HeaderValue::from_str(&self.address.to_string()) {
            headers.insert(HOST, host);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request
    }
}

/// Detail and reasons of a document in one line, as a problem (RFC 9457) has them and a permit that must wait.
fn details(value: &Value) -> String {
    let reasons = value["reasons"].as_array().map(Vec::as_slice).unwrap_or_default();
    let details = std::iter::once(value).chain(reasons).filter_map(|part| part["detail"].as_str());
    details.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_told_with_all_its_reasons() {
        let value =
            json!({ "detail": "refused", "reasons": [{ "detail": "no quorum" }, { "detail": "a freeze" }] });

        assert_eq!(details(&value), "refused; no quorum; a freeze");
    }
}
