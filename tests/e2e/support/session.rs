//! A browser-like client: one connection that it keeps, and cookies that it sends back.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::http::{Answer, Connection, Request};

/// One visitor.
#[derive(Debug)]
pub(crate) struct Session {
    address: SocketAddr,
    connection: Option<Connection>,
    pub(crate) cookies: BTreeMap<String, String>,
}

impl Session {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, connection: None, cookies: BTreeMap::new() }
    }

    pub(crate) async fn get(&mut self, target: &str) -> Answer {
        self.ask(Request::get(target)).await
    }

    /// The version that answers this visitor now.
    pub(crate) async fn version(&mut self) -> String {
        let answer = self.get("/set-header").await;
        assert_eq!(answer.status(), 200, "{answer:?}");
        assert_eq!(
            answer.text(),
            format!("version {}\n", answer.version()),
            "header and body name two versions"
        );
        answer.version().to_owned()
    }

    pub(crate) async fn ask(&mut self, request: Request) -> Answer {
        let request = match self.cookie_field() {
            Some(cookies) => request.field("Cookie", &cookies),
            None => request,
        };
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(self.address).await,
        };
        let answer = connection.ask(&request).await;
        let is_last = answer.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        if !is_last {
            self.connection = Some(connection);
        }
        self.keep_cookies(&answer);
        answer
    }

    /// The value of the `Cookie` field that it sends.
    pub(crate) fn cookie_field(&self) -> Option<String> {
        let pairs: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    fn keep_cookies(&mut self, answer: &Answer) {
        for cookie in answer.head.all("set-cookie") {
            let (pair, attributes) = cookie.split_once(';').unwrap_or((cookie, ""));
            let Some((name, value)) = pair.split_once('=') else { continue };
            if attributes.to_ascii_lowercase().contains("max-age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}
