//! A small client of the admin API: HTTP/1.1 over TCP, TLS or a Unix socket, one connection for each call.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cutover_core::address::Address;
use cutover_core::policy::UpstreamTls;
use cutover_tls::client::{Connector, Connectors};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::args::{Remote, RemoteTls};
use super::bearer::Bearer;
use super::error::{Error, Problem};
use super::target::Target;

/// Time to open a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for one call, beside what the server is told to wait.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// A client of one admin API.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    target: Target,
    token: Option<Bearer>,
    /// How TLS is spoken, where it is.
    connector: Option<Arc<Connector>>,
}

/// A successful answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    /// 200, 201, 202 or 204.
    pub(crate) status: StatusCode,
    /// The document; null where there is none.
    pub(crate) body: Value,
}

impl Client {
    /// A client of the API that the arguments name.
    #[must_use]
    pub(crate) fn new(remote: &Remote) -> Self {
        let RemoteTls { ca, cert, key } = remote.tls.clone();
        let tls = UpstreamTls { ca, client: cert.zip(key), ..UpstreamTls::default() };
        let connector = match &remote.admin {
            Target::Tcp { is_tls: true, .. } => Some(Connectors::default().connector(&tls, false)),
            Target::Tcp { is_tls: false, .. } | Target::Unix(_) => None,
        };
        Self { target: remote.admin.clone(), token: remote.token.clone(), connector }
    }

    /// Where the API is.
    #[must_use]
    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// Reads `path`.
    ///
    /// # Errors
    /// The server can't be reached, or refuses.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, Error> {
        Ok(self.call(Method::GET, path, None, CALL_TIMEOUT).await?.body)
    }

    /// Reads `path`, both as it came and as a `T`.
    ///
    /// # Errors
    /// The server can't be reached, refuses, or answers something else.
    pub(crate) async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<(Value, T), Error> {
        let document = self.get(path).await?;
        let view = self.view(&document)?;
        Ok((document, view))
    }

    /// What the client understands of an answer.
    ///
    /// # Errors
    /// It is none of the admin API.
    pub(crate) fn view<T: DeserializeOwned>(&self, document: &Value) -> Result<T, Error> {
        T::deserialize(document).map_err(|error| self.foreign(&error))
    }

    /// Makes one call with `body` as its document, for which the server may take `limit`.
    ///
    /// # Errors
    /// The server can't be reached, or refuses.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        limit: Duration,
    ) -> Result<Answer, Error> {
        let exchange = async {
            let response = self.send(method, path, body, &[]).await?;
            let status = response.status();
            let bytes = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
            let bytes = bytes.map_err(|error| self.unreachable(io::Error::other(error)))?.to_bytes();
            self.answer(status, &bytes)
        };
        let late = |_| self.unreachable(io::Error::new(io::ErrorKind::TimedOut, "no answer in time"));
        timeout(limit, exchange).await.map_err(late)?
    }

    /// Opens a stream of server-sent events; reads on with `last_event_id`.
    ///
    /// # Errors
    /// The server can't be reached, or refuses.
    pub(crate) async fn events(&self, path: &str, last_event_id: Option<&str>) -> Result<Incoming, Error> {
        let mut headers = vec![("accept", "text/event-stream")];
        headers.extend(last_event_id.map(|id| ("last-event-id", id)));
        let response = self.send(Method::GET, path, None, &headers).await?;
        if response.status() == StatusCode::OK {
            return Ok(response.into_body());
        }
        let status = response.status();
        let bytes = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let bytes = bytes.map_err(|error| self.unreachable(io::Error::other(error)))?.to_bytes();
        Err(Error::Refused(Problem::read(status.as_u16(), &bytes)))
    }

    /// A broken connection as an error.
    pub(crate) fn unreachable(&self, source: io::Error) -> Error {
        Error::Unreachable { target: self.target.clone(), source }
    }

    fn answer(&self, status: StatusCode, bytes: &Bytes) -> Result<Answer, Error> {
        if !status.is_success() {
            return Err(Error::Refused(Problem::read(status.as_u16(), bytes)));
        }
        if bytes.is_empty() {
            return Ok(Answer { status, body: Value::Null });
        }
        let body = serde_json::from_slice(bytes).map_err(|error| self.foreign(&error))?;
        Ok(Answer { status, body })
    }

    fn foreign(&self, error: &serde_json::Error) -> Error {
        Error::Foreign { target: self.target.clone(), detail: error.to_string() }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: &[(&'static str, &str)],
    ) -> Result<http::Response<Incoming>, Error> {
        let mut request = Request::builder().method(method).uri(path).header(HOST, self.target.authority());
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token.header()?);
        }
        if headers.is_empty() {
            request = request.header(ACCEPT, "application/json");
        }
        for &(name, value) in headers {
            request = request.header(name, value);
        }
        let bytes = match body {
            Some(document) => {
                request = request.header(CONTENT_TYPE, "application/json");
                Bytes::from(document.to_string())
            }
            None => Bytes::new(),
        };
        let request = request.body(Full::new(bytes)).map_err(|error| Error::Usage(error.to_string()))?;
        let sent = match &self.target {
            Target::Tcp { host, port, .. } => {
                match (self.connect(TcpStream::connect((host.as_str(), *port))).await, &self.connector) {
                    (Ok(stream), None) => exchange(stream, request).await,
                    (Ok(stream), Some(connector)) => {
                        let address = Address::Tcp { host: host.clone(), port: *port };
                        let secured =
                            async { connector.connect(stream, &address).await.map_err(io::Error::other) };
                        match self.connect(secured).await {
                            Ok(stream) => exchange(stream, request).await,
                            Err(error) => Err(error),
                        }
                    }
                    (Err(error), _) => Err(error),
                }
            }
            Target::Unix(path) => match self.connect(UnixStream::connect(path)).await {
                Ok(stream) => exchange(stream, request).await,
                Err(error) => Err(error),
            },
        };
        sent.map_err(|error| self.unreachable(error))
    }

    async fn connect<S>(&self, connecting: impl Future<Output = io::Result<S>>) -> io::Result<S> {
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "no connection in time");
        timeout(CONNECT_TIMEOUT, connecting).await.map_err(late)?
    }
}

async fn exchange(
    stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
    request: Request<Full<Bytes>>,
) -> io::Result<http::Response<Incoming>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    // It ends with the body of the answer; its errors come out of the body too.
    tokio::spawn(connection);
    sender.send_request(request).await.map_err(io::Error::other)
}

/// A path of segments that may have any characters.
pub(crate) fn path(segments: &[&str]) -> String {
    let mut path = String::from("/v1");
    for segment in segments {
        path.push('/');
        path.push_str(&encode(segment));
    }
    path
}

/// Percent-encodes what is not unreserved (RFC 3986 section 2.3), and a segment that would be taken for a step.
pub(crate) fn encode(text: &str) -> String {
    use std::fmt::Write;
    let is_step = matches!(text, "." | "..");
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~') || (byte == b'.' && !is_step) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_is_one_segment() {
        assert_eq!(
            path(&["services", "web", "versions", "v1/2 é?"]),
            "/v1/services/web/versions/v1%2F2%20%C3%A9%3F"
        );
        assert_eq!(path(&[".."]), "/v1/%2E%2E");
    }
}
