//! Loopback ports of the demo.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
};

use tokio::net::TcpSocket;

use super::error::Error;

/// A free loopback port that nobody is given by accident while its server restarts.
///
/// The socket is bound and never listens. A server that sets `SO_REUSEADDR`, as servers do, can bind beside it; the
/// kernel gives the port to no outgoing connection meanwhile.
#[derive(Debug)]
pub(super) struct Port {
    address: SocketAddr,
    _reservation: TcpSocket,
}

impl Port {
    pub(super) fn reserve() -> Result<Self, Error> {
        let reserved = || -> io::Result<Self> {
            let socket = TcpSocket::new_v4()?;
            socket.set_reuseaddr(true)?;
            socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
            Ok(Self { address: socket.local_addr()?, _reservation: socket })
        };
        reserved().map_err(Error::system("reserve a port on loopback"))
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_server_can_listen_on_a_reserved_port_again_and_again() {
        let port = Port::reserve().unwrap();

        for _ in 0..2 {
            let server = tokio::net::TcpListener::bind(port.address()).await.unwrap();
            let (client, accepted) =
                tokio::join!(tokio::net::TcpStream::connect(port.address()), server.accept());
            assert!(client.is_ok() && accepted.is_ok());
        }
    }
}
