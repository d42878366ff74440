//! HTTP/1.1 through the proxy: messages, header fields, limits, and what upstreams do.

mod fields;
mod limits;
mod messages;
mod upstream;
