//! A small HTTP/1.1 client of our own, so that what is checked is what was on the wire.

mod answer;
mod connection;
mod request;

pub(crate) use answer::Answer;
pub(crate) use connection::Connection;
pub(crate) use request::Request;
