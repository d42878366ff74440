//! End-to-end tests: the real binary, real app servers, real sockets on loopback.
#![cfg(test)]

mod access_log;
mod acme;
mod admin_tls;
mod agent;
mod api;
mod assets;
mod bake;
mod cli;
mod deploy;
#[path = "../../crates/resolve/tests/it/dns.rs"]
mod dns;
mod drains;
mod examples;
mod flips;
mod framework;
mod garbage;
mod good_versions;
mod grpc;
mod h2;
mod health;
mod holds;
mod hooks;
mod hooks_tls;
mod http;
mod idempotency;
mod identity;
mod import;
mod in_place;
mod ipv6;
mod load;
mod migrations;
mod names;
mod peers;
mod pins;
mod preview;
mod reload;
mod roll;
mod rules;
mod skew;
mod spread;
mod start;
mod support;
mod tls;
mod tunnels;
mod upstreams;
