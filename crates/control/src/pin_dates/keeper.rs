//! Keeps the latest date of pins up to date while the proxy runs.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::{self, JoinHandle};
use tokio::time::{MissedTickBehavior, interval};

use super::{DatesFile, PinDates};
use crate::clock;

/// Time between two looks at the clock. Workers take over a clock that is set forward as often.
const LOOK: Duration = Duration::from_secs(1);

/// A task that keeps the file.
#[derive(Debug)]
pub(crate) struct Keeper {
    stop: Arc<Notify>,
    task: JoinHandle<()>,
}

struct Inner {
    file: DatesFile,
    dates: PinDates,
    is_failing: bool,
}

impl Keeper {
    /// Keeps `dates` at once, and from then on what follows from them.
    pub(crate) async fn start(file: DatesFile, dates: PinDates) -> Self {
        let mut inner = Inner { file, dates: dates.clone(), is_failing: false };
        inner.keep(dates).await;
        let stop = Arc::new(Notify::new());
        let task = tokio::spawn(inner.run(Arc::clone(&stop)));
        Self { stop, task }
    }

    /// Keeps the dates a last time.
    pub(crate) async fn stop(self) {
        self.stop.notify_one();
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the keeper of the dates of pins broke");
        }
    }
}

impl Inner {
    async fn run(mut self, stop: Arc<Notify>) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_last = tokio::select! {
                () = stop.notified() => true,
                _ = looks.tick() => false,
            };
            let now = clock::moment();
            if is_last || self.dates.is_outdated(&now) {
                self.keep(self.dates.until(now)).await;
            }
            if is_last {
                return;
            }
        }
    }

    /// What could not be kept is still known: it is tried again at the next look.
    async fn keep(&mut self, dates: PinDates) {
        let (file, kept) = (self.file.clone(), dates.clone());
        let outcome = task::spawn_blocking(move || file.write(&kept)).await;
        match outcome.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(()) => {
                self.dates = dates;
                self.is_failing = false;
            }
            Err(error) if !self.is_failing => {
                self.is_failing = true;
                tracing::error!(%error, "can't keep how pins are dated; after a restart with a clock that was set back, drains may end early");
            }
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_file_is_there_at_once_and_up_to_date_at_the_end() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = DatesFile::in_dir(dir.path());
        let begin = PinDates::new(cutover_core::time::Timestamp(0), clock::moment());

        let keeper = Keeper::start(file.clone(), begin.clone()).await;
        assert_eq!(file.read().expect("our own file"), Some(begin.clone()));
        tokio::time::sleep(Duration::from_millis(5)).await;
        keeper.stop().await;

        let end = file.read().expect("our own file").expect("it is there");
        let now = clock::moment();
        assert!(
            end != begin
                && !end.is_outdated(&now)
                && end.latest_by(&now) >= now.wall - super::super::PRECISION
        );
    }

    #[tokio::test]
    async fn a_directory_that_is_gone_ends_nothing() {
        let dir = tempfile::tempdir().expect("a directory").path().join("gone");
        let begin = PinDates::new(cutover_core::time::Timestamp(0), clock::moment());
        Keeper::start(DatesFile::in_dir(&dir), begin).await.stop().await;
        assert!(!dir.exists());
    }
}
