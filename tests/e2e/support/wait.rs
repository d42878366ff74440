//! Waits that end: every one has a limit and says what it waited for.

use std::time::Duration;

/// Far more than anything here takes; reaching it is a failure.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);
/// Time between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// Looks until `probe` answers something, and fails with `what` after [`LIMIT`].
pub(crate) async fn until<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let looked = async {
        loop {
            if let Some(found) = probe().await {
                return found;
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::time::timeout(LIMIT, looked)
        .await
        .unwrap_or_else(|_| panic!("waited {LIMIT:?} in vain until {what}"))
}

/// What `future` answers, if it does within [`LIMIT`].
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future)
        .await
        .unwrap_or_else(|_| panic!("waited {LIMIT:?} in vain for {what}"))
}
