//! The table, one file for each area. What a case expects is what the RFC in its name says, or, where that leaves a choice, what cutover chose.

pub(crate) mod answer_framing;
pub(crate) mod answer_heads;
pub(crate) mod chunks;
pub(crate) mod connections;
pub(crate) mod cookies;
pub(crate) mod expect;
pub(crate) mod forwarding;
pub(crate) mod head_syntax;
pub(crate) mod hop_by_hop;
pub(crate) mod host;
pub(crate) mod interim;
pub(crate) mod limits;
pub(crate) mod old_clients;
pub(crate) mod request_framing;
pub(crate) mod request_line;
pub(crate) mod reuse;
pub(crate) mod smuggling;
pub(crate) mod upgrade;
