//! A client of gRPC.

use std::net::SocketAddr;

use futures_util::Stream;
use http::uri::PathAndQuery;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Response, Status, Streaming};

use super::codec::{Message, Plain};
use crate::h2::edge::{Edge, NAME};
use crate::support::wait::within;

#[derive(Clone, Debug)]
pub(crate) struct Client(tonic::client::Grpc<Channel>);

impl Client {
    /// In clear text.
    pub(super) async fn plain(edge: &Edge) -> Self {
        Self::at(edge.proxy()).await
    }

    /// In clear text, of whoever listens there.
    pub(crate) async fn at(address: SocketAddr) -> Self {
        Self::open(Endpoint::from_shared(format!("http://{address}")).unwrap()).await
    }

    /// Over TLS.
    pub(super) async fn secure(edge: &Edge) -> Self {
        Self::try_secure(edge).await.expect("the certificate is shown that is in the file")
    }

    /// The same, if the proxy shows the certificate that is in its file by now.
    pub(super) async fn try_secure(edge: &Edge) -> Option<Self> {
        let certificate = Certificate::from_pem(std::fs::read(edge.certificate()).unwrap());
        let tls = ClientTlsConfig::new().ca_certificate(certificate).domain_name(NAME);
        let endpoint =
            Endpoint::from_shared(format!("https://{}", edge.tls())).unwrap().tls_config(tls).unwrap();
        within("a channel", endpoint.connect()).await.ok().map(tonic::client::Grpc::new).map(Self)
    }

    async fn open(endpoint: Endpoint) -> Self {
        Self(tonic::client::Grpc::new(within("a channel", endpoint.connect()).await.unwrap()))
    }

    pub(crate) async fn unary(
        &self,
        method: &'static str,
        request: Request<Message>,
    ) -> Result<Response<Message>, Status> {
        let mut grpc = self.0.clone();
        grpc.ready().await.map_err(|error| Status::unknown(error.to_string()))?;
        within(method, grpc.unary(request, PathAndQuery::from_static(method), Plain)).await
    }

    pub(crate) async fn send_all(
        &self,
        method: &'static str,
        messages: impl Stream<Item = Message> + Send + 'static,
    ) -> Result<Response<Message>, Status> {
        let mut grpc = self.0.clone();
        grpc.ready().await.map_err(|error| Status::unknown(error.to_string()))?;
        let called = grpc.client_streaming(Request::new(messages), PathAndQuery::from_static(method), Plain);
        within(method, called).await
    }

    pub(super) async fn stream(
        &self,
        method: &'static str,
        messages: impl Stream<Item = Message> + Send + 'static,
    ) -> Result<Response<Streaming<Message>>, Status> {
        let mut grpc = self.0.clone();
        grpc.ready().await.map_err(|error| Status::unknown(error.to_string()))?;
        let called = grpc.streaming(Request::new(messages), PathAndQuery::from_static(method), Plain);
        within(method, called).await
    }
}

/// Which version answered.
pub(super) fn version<T>(answer: &Response<T>) -> &str {
    answer.metadata().get("x-app-version").and_then(|version| version.to_str().ok()).unwrap_or_default()
}
