//! A client of the admin API.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::http::{Answer, Connection, Request};
use super::wait::until;

/// Calls the admin API of one cutover, with a connection for each call.
#[derive(Clone, Debug)]
pub(crate) struct Admin {
    address: SocketAddr,
    fields: Vec<(String, String)>,
}

impl Admin {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, fields: Vec::new() }
    }

    /// The same with a header field on every call.
    pub(crate) fn with(&self, name: &str, value: &str) -> Self {
        let mut admin = self.clone();
        admin.fields.push((name.to_owned(), value.to_owned()));
        admin
    }

    /// Makes a call and answers whatever comes.
    pub(crate) async fn call(&self, method: &str, path: &str, body: &Value) -> Answer {
        Connection::open(self.address).await.ask(&self.request(method, path, body)).await
    }

    pub(crate) async fn try_call(&self, method: &str, path: &str, body: &Value) -> std::io::Result<Answer> {
        let mut connection = Connection::try_open(self.address).await?;
        connection.try_ask(&self.request(method, path, body)).await
    }

    /// Makes a call that must succeed, and answers its JSON.
    pub(crate) async fn done(&self, method: &str, path: &str, body: Value) -> Value {
        let answer = self.call(method, path, &body).await;
        assert!((200..300).contains(&answer.status()), "{method} {path} {body}: {answer:?}");
        if answer.body.is_empty() { Value::Null } else { answer.json() }
    }

    /// Makes a call that must be refused with `status`, and answers the codes of all its reasons.
    pub(crate) async fn refused(&self, status: u16, method: &str, path: &str, body: Value) -> Vec<String> {
        let answer = self.call(method, path, &body).await;
        assert_eq!(answer.status(), status, "{method} {path} {body}: {answer:?}");
        assert_eq!(answer.field("content-type"), Some("application/problem+json"), "{answer:?}");
        let problem = answer.json();
        assert_eq!(problem["status"], status, "{answer:?}");
        let reasons = problem["reasons"].as_array().cloned().unwrap_or_default();
        reasons.iter().map(|reason| reason["code"].as_str().unwrap().to_owned()).collect()
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.done("GET", path, Value::Null).await
    }

    /// Flips the service `web`; answers the new epoch.
    pub(crate) async fn flip(&self, to: &str) -> u64 {
        self.done("POST", "/v1/services/web/flip", json!({ "to": to })).await["epoch"].as_u64().unwrap()
    }

    /// What the API says about a version of the service `web`.
    pub(crate) async fn version(&self, version: &str) -> Value {
        self.get(&format!("/v1/services/web/versions/{version}")).await
    }

    /// What the API says about a backend of the service `web`.
    pub(crate) async fn backend(&self, id: &str) -> Value {
        let all = self.get("/v1/services/web/backends").await;
        let mut backends = all["backends"].as_array().unwrap().iter();
        backends.find(|backend| backend["id"] == id).unwrap_or_else(|| panic!("no {id} in {all}")).clone()
    }

    /// Waits until a version of the service `web` has a role, by looking again and again.
    pub(crate) async fn until_role(&self, version: &str, role: &str) {
        let path = format!("/v1/services/web/versions/{version}");
        let what = format!("{version} is {role}");
        until(&what, async || {
            let answer = self.call("GET", &path, &Value::Null).await;
            (answer.status() == 200 && answer.json()["role"] == role).then_some(())
        })
        .await;
    }

    /// Waits until so many backends of a version of the service `web` are usable.
    pub(crate) async fn until_usable(&self, version: &str, count: u64) {
        let path = format!("/v1/services/web/versions/{version}");
        let what = format!("{count} backends of {version} are usable");
        until(&what, async || {
            let answer = self.call("GET", &path, &Value::Null).await;
            (answer.status() == 200 && answer.json()["usable_backends"] == count).then_some(())
        })
        .await;
    }

    /// Waits until a sample of `/metrics` has this value: a request is counted after its last byte went out.
    pub(crate) async fn until_metric(&self, name: &str, parts: &[&str], value: f64) {
        let what = format!("{name} of {parts:?} is {value}");
        until(&what, async || (self.metric(name, parts).await == value).then_some(())).await;
    }

    /// The value of a sample of `/metrics`, the sum over all whose name and labels contain every one of `parts`.
    pub(crate) async fn metric(&self, name: &str, parts: &[&str]) -> f64 {
        let text = self.call("GET", "/metrics", &Value::Null).await.text();
        let of_this_name = text.lines().filter(|line| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
                && parts.iter().all(|part| line.contains(part))
        });
        of_this_name.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    fn request(&self, method: &str, path: &str, body: &Value) -> Request {
        let mut request = match body {
            Value::Null => Request::new(method, path),
            body => Request::post(path, body.to_string()).field("Content-Type", "application/json"),
        };
        request.method = method.to_owned();
        for (name, value) in &self.fields {
            request = request.field(name, value);
        }
        if !self.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            request = request.field("Host", &self.address.to_string());
        }
        request
    }
}
