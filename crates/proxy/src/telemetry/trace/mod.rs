//! What a collector of traces is told about requests: a span for each, and one for each time that a backend was asked because of it.
//!
//! Without a [`SpanSink`] there are no spans, and trace context (W3C Trace Context) is passed on as it came.

mod context;
mod course;
mod sink;
mod span;

pub use sink::{SpanSink, spans};
pub use span::{Kind, Parent, Span, Value};

pub(crate) use course::{Ended, Trace};
