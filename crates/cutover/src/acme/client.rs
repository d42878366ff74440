//! The requests of ACME, over the same names and the same TLS as backends.

use std::io;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cutover_core::address::Address;
use cutover_core::policy::UpstreamTls;
use cutover_resolve::{Names, Place, Socket};
use cutover_tls::client::{Connector, Connectors};
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, HttpClient};
use tokio::time::timeout;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// For one request and its answer. Authorities do their work beside requests, and are asked again how far they are.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of an answer: a hundred times what a chain of certificates has.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// The port that is meant when none is named.
const HTTPS: u16 = 443;

/// Asks one directory.
#[derive(Debug, Clone)]
pub(super) struct Client {
    names: Names,
    connector: Arc<Connector>,
}

impl Client {
    /// One that believes the authorities of `ca`, or those of the system.
    pub(super) fn new(ca: Option<String>, names: &Names, connectors: &Connectors) -> Self {
        let connector = connectors.connector(&UpstreamTls { ca, ..UpstreamTls::default() }, false);
        Self { names: names.clone(), connector }
    }

    async fn ask(&self, mut request: Request<BodyWrapper<Bytes>>) -> Result<Response<Full<Bytes>>, BoxError> {
        let address = address(request.uri())?;
        let authority = request.uri().authority().map(|authority| HeaderValue::from_str(authority.as_str()));
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        // What RFC 9112 section 3.2.1 calls origin-form.
        let target = Uri::from_str(path)?;
        if let Some(host) = authority.transpose()? {
            request.headers_mut().insert(header::HOST, host);
        }
        *request.uri_mut() = target;
        let Socket::Tcp(stream) = Place::new(&address, &self.names).connect().await? else {
            return Err(io::Error::from(io::ErrorKind::Unsupported).into());
        };
        let stream = self.connector.connect(stream, &address).await?;
        // One connection for each request: an order has ten, and they are seconds apart.
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let driven = tokio::spawn(connection);
        let answer = sender.send_request(request).await?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?.to_bytes();
        driven.abort();
        Ok(Response::from_parts(head, Full::new(body)))
    }
}

impl HttpClient for Client {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, instant_acme::Error>> + Send>> {
        let client = self.clone();
        Box::pin(async move {
            let answer = timeout(TIMEOUT, client.ask(request)).await.unwrap_or_else(|late| Err(late.into()));
            answer.map(BytesResponse::from).map_err(instant_acme::Error::Other)
        })
    }
}

/// Where `uri` leads to. Only over TLS: whoever stands in between could get certificates for our names.
fn address(uri: &Uri) -> Result<Address, BoxError> {
    let host = uri.host().filter(|_| uri.scheme_str() == Some("https"));
    let host = host.ok_or_else(|| format!("{uri} is no https URL"))?;
    Ok(format!("{host}:{}", uri.port_u16().unwrap_or(HTTPS)).parse::<Address>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(uri: &str) -> Result<String, String> {
        match address(&uri.parse().unwrap()) {
            Ok(address) => Ok(address.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn directories_are_asked_over_tls_only() {
        assert_eq!(place("https://authority.test/directory"), Ok("authority.test:443".to_owned()));
        assert_eq!(place("https://[::1]:14000/dir"), Ok("[::1]:14000".to_owned()));
        assert_eq!(place("http://authority.test/"), Err("http://authority.test/ is no https URL".to_owned()));
        assert!(place("/directory").is_err());
    }
}
