//! What people hand us as a document, checked with every problem at once: a configuration file, or the body of a request.
//!
//! A document is a JSON value with the place of each value kept apart. [`Later::strip`] takes out what belongs to later
//! versions, [`read()`] takes out what the [`Schema`] doesn't know and deserializes the rest, which is then checked for sense
//! ([`Check`]). Each step adds to one list of [`Problems`], and nothing is reported twice.

mod check;
mod later;
mod path;
mod problem;
mod read;
pub mod scalar;
mod schema;

pub use check::Check;
pub use later::{Later, Off};
pub use path::{Path, Segment};
pub use problem::{Place, Problem, Problems};
pub use read::read;
pub use schema::Schema;
