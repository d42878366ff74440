//! Bounded waits.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::error::Error;

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(25);

/// Looks until there is something, for at most `limit`; `what` ends the sentence "waited in vain until …".
pub(super) async fn until<T>(
    what: &str,
    limit: Duration,
    mut look: impl AsyncFnMut() -> Result<Option<T>, Error>,
) -> Result<T, Error> {
    let found = async {
        loop {
            if let Some(found) = look().await? {
                return Ok(found);
            }
            sleep(PAUSE).await;
        }
    };
    timeout(limit, found).await.unwrap_or_else(|_| Err(Error::Late { what: what.to_owned(), limit }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_never_comes_is_named_in_the_error() {
        let limit = Duration::from_millis(60);

        let waited = until("pigs fly", limit, async || Ok(None::<()>)).await;

        assert_eq!(waited.unwrap_err().to_string(), "waited 60ms in vain until pigs fly");
    }
}
