//! A loopback port that is kept for one server, however often that server restarts.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpSocket;

/// A free loopback port that nobody else is given by accident.
///
/// The socket is bound and never listens. A server that sets `SO_REUSEADDR`, as servers do, can bind beside it; the
/// kernel gives the port to no outgoing connection meanwhile.
#[derive(Debug)]
pub(crate) struct Port {
    address: SocketAddr,
    _reservation: TcpSocket,
}

impl Port {
    pub(crate) fn reserve() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        Self { address: socket.local_addr().unwrap(), _reservation: socket }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

#[tokio::test]
async fn a_server_can_listen_on_a_reserved_port_again_and_again() {
    let port = Port::reserve();

    for _ in 0..2 {
        let server = tokio::net::TcpListener::bind(port.address()).await.unwrap();
        let (client, accepted) =
            tokio::join!(tokio::net::TcpStream::connect(port.address()), server.accept());
        assert!(client.is_ok() && accepted.is_ok());
    }
}
