//! The upgrade of the proxy itself: another process takes over every socket and the state, and nothing is lost.
//!
//! In the order in which it happens: `old` starts the `program` anew and hands over its sockets → `new` prepares itself and asks for the
//! store → `old` lets go of it → `new` opens it, and is ready → `old` says go and retires → `new` serves. From then on `new` tells `old`
//! what is committed, and `old` tells `new` what it still does ([`cutover_control::elder`]), until it has nothing left to do. They speak
//! by `message`s over a `link`. Whatever goes wrong before the go leaves the old process as it was.

mod link;
mod message;
mod new;
mod old;
mod program;
mod store;

use std::time::Duration;

pub(crate) use new::{Inherited, Legacy, Predecessor};
pub(crate) use old::{HandOver, Heir, Sockets, Ties};
pub(crate) use program::Program;
pub(crate) use store::OpenStore;

/// The environment variable by which a process learns that it is to replace another one, and where that listens.
const VARIABLE: &str = "CUTOVER_UPGRADE";
/// How long a message may take to be written. It takes microseconds, unless the other process does not read.
const WRITE_WITHIN: Duration = Duration::from_secs(10);
/// Time between two reports of what is left to do.
const REPORT_EVERY: Duration = Duration::from_millis(100);
