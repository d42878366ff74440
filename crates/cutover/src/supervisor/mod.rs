//! What a supervisor such as systemd gives to the process and is told by it.

mod activation;
mod notify;

pub(crate) use activation::sockets;
pub(crate) use notify::Supervisor;
