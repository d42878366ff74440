//! What the targets of request and answer heads share: rules that httparse does not have.

use cutover_proxy::fuzzing::{COUNT_MAX, FIELDS_MAX, LINE_MAX};

use crate::split;

/// Whether a whole head is larger than it may be.
pub fn is_too_large(head: &[u8]) -> bool {
    let head = head.strip_prefix(b"\r\n").unwrap_or(head);
    let (line, fields) = split::line(head).unwrap_or((head, b""));
    // The empty line at the end does not count.
    let count = fields.split(|byte| *byte == b'\n').count().saturating_sub(2);
    line.len() > LINE_MAX || fields.len() > FIELDS_MAX + 2 || count > COUNT_MAX
}
