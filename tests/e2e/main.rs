//! End-to-end tests: the real binary, real app servers, real sockets on loopback.
#![cfg(test)]

mod support;
