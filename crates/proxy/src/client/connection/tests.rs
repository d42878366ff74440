//! What an idle connection takes.

use super::*;

/// Bytes that the future of an asynchronous function takes.
fn size_of_future<A, B, F: Future>(_: fn(A, B) -> F) -> usize {
    size_of::<F>()
}

#[test]
fn an_idle_connection_keeps_little() {
    let (task, connection) = (size_of_future(run), size_of::<Connection>());
    assert!(task <= 144, "its task takes {task} bytes");
    assert!(connection <= 192, "it takes {connection} bytes");
}
