//! gRPC by tonic on both sides: every kind of call, and what a switch of versions does to calls under way.

mod calls;
mod client;
mod codec;
mod server;

pub(crate) use client::Client;
pub(crate) use server::Server;
