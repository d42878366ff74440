//! One connection of the load generator. Every answer is checked.

mod h2;
mod http1;

use std::net::{SocketAddr, TcpStream};

use crate::error::Error;
use crate::tls::{Alpn, Tls};
use crate::transport::{Handshake, Transport};

pub(crate) use h2::MESSAGE;

/// Where a proxy listens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addresses {
    pub(crate) http: SocketAddr,
    /// Over TLS: HTTP/1.1 and HTTP/2 by ALPN.
    pub(crate) tls: SocketAddr,
    /// HTTP/2 by prior knowledge.
    pub(crate) h2c: SocketAddr,
}

/// How a client speaks with the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Http1,
    Https,
    H2c,
    H2,
    /// Unary calls, over HTTP/2 with TLS.
    Grpc,
    /// TLS, and nothing in it.
    Handshake,
}

/// What every connection of a run asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    pub(crate) addresses: Addresses,
    pub(crate) way: Way,
    pub(crate) path: &'static str,
    /// Body of the answer, in bytes.
    pub(crate) body: usize,
}

#[derive(Debug)]
pub(crate) enum Client {
    Http1(http1::Client),
    H2(h2::Client),
    Handshake(Box<Handshake>),
}

impl Ask {
    /// The same asked for in another way.
    pub(crate) fn by(self, way: Way) -> Self {
        Self { way, ..self }
    }
}

impl Client {
    /// Connects, to ask for what `ask` says and to give `cookie` back.
    pub(crate) fn connect(ask: &Ask, tls: &Tls, cookie: &str) -> Result<Self, Error> {
        let Addresses { http, tls: secure, h2c } = ask.addresses;
        Ok(match ask.way {
            Way::Http1 => Self::Http1(http1::Client::new(Transport::connect(http, None)?, ask, cookie)),
            Way::Https => {
                let transport = Transport::connect(secure, Some((tls, Alpn::Http1)))?;
                Self::Http1(http1::Client::new(transport, ask, cookie))
            }
            Way::H2c => Self::H2(h2::Client::new(Transport::connect(h2c, None)?, ask, cookie)?),
            Way::H2 | Way::Grpc => {
                let transport = Transport::connect(secure, Some((tls, Alpn::H2)))?;
                Self::H2(h2::Client::new(transport, ask, cookie)?)
            }
            Way::Handshake => Self::Handshake(Box::new(Handshake::connect(secure, tls)?)),
        })
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        match self {
            Self::Http1(client) => client.stream(),
            Self::H2(client) => client.stream(),
            Self::Handshake(handshake) => handshake.stream(),
        }
    }

    /// Begins a request. It may wait for [`Self::flush`], to leave together with others.
    pub(crate) fn send(&mut self) -> Result<(), Error> {
        match self {
            Self::Http1(client) => client.send(),
            Self::H2(client) => client.send(),
            Self::Handshake(handshake) => handshake.begin(),
        }
    }

    pub(crate) fn flush(&mut self) -> Result<(), Error> {
        match self {
            Self::Http1(_) | Self::Handshake(_) => Ok(()),
            Self::H2(client) => client.flush(),
        }
    }

    /// Takes what has arrived. The number of answers that it completed, each of which was as it should be.
    pub(crate) fn receive(&mut self, scratch: &mut [u8]) -> Result<usize, Error> {
        match self {
            Self::Http1(client) => client.receive(scratch).map(usize::from),
            Self::H2(client) => client.receive(scratch),
            Self::Handshake(handshake) => handshake.receive(scratch).map(usize::from),
        }
    }

    /// The cookies that the last answer set, as a request gives them back. Only a client of HTTP/1.1 looks at them.
    pub(crate) fn cookies(&self) -> String {
        match self {
            Self::Http1(client) => client.cookies(),
            Self::H2(_) | Self::Handshake(_) => String::new(),
        }
    }
}
