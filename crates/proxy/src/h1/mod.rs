//! HTTP/1.1 on the wire: heads, framing, chunks (RFC 9112).

pub(crate) mod chunked;
pub(crate) mod framing;
pub(crate) mod head;
pub(crate) mod line;
pub(crate) mod target;
