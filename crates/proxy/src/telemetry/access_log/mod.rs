//! The access log: one line per request, written by a thread of its own, so that no disk and no reader of a pipe can hold up a worker.

mod combined;
mod jsonl;
mod record;
mod sink;
mod timestamp;
mod writer;

pub(crate) use record::cut;
pub use record::{Format, Record, Request, Upstream};
pub use sink::Sink;
pub use writer::AccessLog;

#[cfg(test)]
mod tests;
