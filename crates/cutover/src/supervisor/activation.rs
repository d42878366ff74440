//! Sockets that the supervisor opened before it started the process (sd_listen_fds(3)). They are taken by their addresses: names and
//! order mean nothing.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use cutover_control::admin::Listen;
use listenfd::ListenFd;
use rustix::io::{FdFlags, fcntl_setfd};

use crate::config::{AdminAddress, Config};
use crate::upgrade::Inherited;

/// The TCP sockets that were passed to this process. Those of the admin API and of metrics are told by where `config` has them.
///
/// # Errors
/// A socket is of no use here, which is not to be found out by clients that nobody answers.
pub(crate) fn sockets(config: &Config) -> io::Result<Inherited> {
    let mut passed = ListenFd::from_env();
    let (mut clients, mut admin) = (Vec::new(), Vec::new());
    for place in 0..passed.len() {
        let unusable =
            || io::Error::other(format!("socket {place} of the supervisor does not listen on TCP"));
        let socket = passed.take_tcp_listener(place).map_err(|_| unusable())?.ok_or_else(unusable)?;
        // Programs that this process starts don't get it.
        fcntl_setfd(&socket, FdFlags::CLOEXEC)?;
        let address = socket.local_addr()?;
        if is_of_admin(config, address) {
            admin.push((Listen::Tcp(address), OwnedFd::from(socket)));
        } else {
            clients.push((address, socket));
        }
    }
    Ok(Inherited::new(clients, admin))
}

/// Whether the admin API or the metrics are to be there.
fn is_of_admin(config: &Config, address: SocketAddr) -> bool {
    let admin = match &config.admin.listen {
        AdminAddress::Tcp(bind) => Some(bind),
        AdminAddress::Unix(_) => None,
    };
    let mut places = admin.into_iter().chain(&config.metrics);
    places.any(|bind| bind.resolve().is_ok_and(|all| all.contains(&address)))
}
