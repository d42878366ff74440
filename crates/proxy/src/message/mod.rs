//! What messages are made of: fields and their names, the words inside of values, and what a proxy adds to a head or takes out of it.

pub(crate) mod date;
pub(crate) mod decimal;
pub(crate) mod event_stream;
pub(crate) mod fields;
pub(crate) mod forwarded;
pub(crate) mod grpc;
pub(crate) mod headers;
pub(crate) mod json;
pub(crate) mod list;
pub(crate) mod name;
pub(crate) mod negotiate;
pub(crate) mod request_id;
pub(crate) mod scan;
pub(crate) mod websocket;
