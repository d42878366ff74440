//! Runs futures without a runtime: the controller waits for nothing but the store, and the store for nothing but polls.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// Polls that a healthy step never needs.
const PATIENCE: u32 = 10_000;

/// Runs a future to its end.
pub(crate) fn drive<T>(future: impl Future<Output = T>) -> T {
    drive_for(PATIENCE, future).unwrap_or_else(|| panic!("a step did not end within {PATIENCE} polls"))
}

/// Polls a future so many times; `None` when it is not done by then. Dropping it is a crash in the middle.
pub(crate) fn drive_for<T>(polls: u32, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..polls {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
    }
    None
}
