//! Active health checks: asks every backend, again and again, whether it answers and which version it runs.

mod board;

pub use self::board::{ProbeBoard, ProbeReport};
