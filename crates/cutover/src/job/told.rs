//! What a wait is for, told when it is news.

use std::time::Duration;

use tokio::time::Instant;

/// Time after which what is waited for is told again if only its numbers changed.
const TOLD_AGAIN: Duration = Duration::from_secs(60);

/// What is waited for: told when it changes, but not for every second that passes.
#[derive(Debug, Default)]
pub(crate) struct Told {
    shape: String,
    at: Option<Instant>,
}

impl Told {
    /// Whether `text` is news, at `now`; then it counts as told.
    pub(crate) fn is_news(&mut self, text: &str, now: Instant) -> bool {
        let shape: String = text.chars().filter(|letter| !letter.is_ascii_digit()).collect();
        let is_old = |at: Instant| shape == self.shape && now.duration_since(at) < TOLD_AGAIN;
        if self.at.is_some_and(is_old) {
            return false;
        }
        (self.shape, self.at) = (shape, Some(now));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_waited_for_is_told_when_it_changes_and_now_and_then() {
        let (mut told, start) = (Told::default(), Instant::now());
        let mut is_news = |text: &str, second| told.is_news(text, start + Duration::from_secs(second));

        assert!(is_news("drained in 300s", 0));
        assert!(!is_news("drained in 299s", 1));
        assert!(is_news("batch full", 2));
        assert!(is_news("drained in 297s", 3));
        assert!(is_news("drained in 237s", 63));
    }
}
