//! The rule about line ends that httparse does not have.

/// Whether there is an LF without a CR before it.
pub fn has_bare_lf(head: &[u8]) -> bool {
    head.split(|byte| *byte == b'\n').rev().skip(1).any(|line| !line.ends_with(b"\r"))
}
