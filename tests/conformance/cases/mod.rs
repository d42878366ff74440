//! The table, one file for each area. What a case expects is what the RFC in its name says, or, where that leaves a choice, what cutover chose.

pub(crate) mod chunks;
pub(crate) mod request_framing;
