//! Names, looked up by a name server on loopback.
#![cfg(test)]

mod dns;
mod names;
