//! The demo's HTTP/1.1 client: one connection, one exchange at a time, nothing repeated behind the caller's back.

use std::{io, net::SocketAddr, time::Duration};

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    HeaderMap, Request, StatusCode,
    body::Bytes,
    client::conn::http1::{SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::AbortHandle, time::timeout};

/// Largest body of an answer, in bytes.
const BODY_BYTES_MAX: usize = 4 << 20;

/// A connection that stays open between exchanges; dropping it closes it.
#[derive(Debug)]
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: AbortHandle,
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Why there is no whole answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody listens, or the connection could not be set up.
    #[error("can't connect: {0}")]
    Connect(#[source] io::Error),
    /// The connection broke, or what came is no HTTP/1.1.
    #[error("the connection broke: {0}")]
    Broken(#[from] hyper::Error),
    /// The body broke off or passed the limit.
    #[error("the body broke off: {0}")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No whole answer within the limit.
    #[error("no whole answer within {0:?}")]
    Late(Duration),
}

impl Connection {
    pub(super) async fn open(address: SocketAddr) -> Result<Self, Error> {
        let stream = TcpStream::connect(address).await.map_err(Error::Connect)?;
        stream.set_nodelay(true).map_err(Error::Connect)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Its error also reaches whoever waits on the sender.
        let driver = tokio::spawn(async move { drop(connection.await) }).abort_handle();
        Ok(Self { sender, driver })
    }

    /// Whether the peer has not closed it so far.
    pub(super) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// Sends the request and reads the whole answer within `limit`. After an error the connection is of no more use.
    pub(super) async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
        limit: Duration,
    ) -> Result<Answer, Error> {
        let whole = async {
            self.sender.ready().await?;
            let (head, body) = self.sender.send_request(request).await?.into_parts();
            let body = Limited::new(body, BODY_BYTES_MAX).collect().await.map_err(Error::Body)?.to_bytes();
            Ok(Answer { status: head.status, headers: head.headers, body })
        };
        timeout(limit, whole).await.unwrap_or(Err(Error::Late(limit)))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
