//! Whether a new version is worse than the one that it replaces: told second by second from what their cells count.
//!
//! What the core keeps of it is small: the [`Baseline`] that was frozen at the flip, and the last [`Verdict`]. The running sums belong
//! to whoever looks at the cells, and begin anew with every process.

mod baseline;
mod betting;
mod bound;
mod guard;
mod verdict;
mod watch;

pub use self::baseline::Baseline;
pub use self::verdict::{Kind, Numbers, Standing, Verdict};
pub use self::watch::{EVIDENCE_MAX, Fault, Watch};
