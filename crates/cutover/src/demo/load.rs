//! The load: a constant number of visitors, each followed by the next one when it leaves.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinSet, time::timeout};

use super::{
    error::Error,
    session::{Site, visit},
    trace::Visit,
};

/// The visitors of the first moment arrive spread over this time, in milliseconds.
const ARRIVAL_MS: u64 = 1_000;
/// Time for the visitors to end their last page view: more than a few exchanges that run into their limit.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// A running load. Dropping it stops it in the middle of its requests.
#[derive(Debug)]
pub(super) struct Load {
    site: Arc<Site>,
    stop: watch::Sender<bool>,
    places: JoinSet<Vec<Visit>>,
}

impl Load {
    pub(super) fn start(site: Site, sessions: u32) -> Self {
        let site = Arc::new(site);
        let stop = watch::Sender::new(false);
        let places = (0..sessions).map(|_| place(Arc::clone(&site), stop.subscribe())).collect();
        Self { site, stop, places }
    }

    pub(super) fn site(&self) -> &Arc<Site> {
        &self.site
    }

    /// Lets every visitor end the page view it is at, and answers all visits.
    pub(super) async fn stop(mut self) -> Result<Vec<Visit>, Error> {
        self.stop.send_replace(true);
        let mut visits = Vec::new();
        let all = async {
            while let Some(place) = self.places.join_next().await {
                visits.extend(place?);
            }
            Ok(())
        };
        match timeout(STOP_LIMIT, all).await {
            Ok(ended) => ended.map(|()| visits),
            Err(_) => {
                Err(Error::Late { what: "the visitors ended their page views".into(), limit: STOP_LIMIT })
            }
        }
    }
}

/// One place in the crowd, taken by one visitor after the other.
async fn place(site: Arc<Site>, mut stop: watch::Receiver<bool>) -> Vec<Visit> {
    tokio::time::sleep(Duration::from_millis(site.dice.between(0, ARRIVAL_MS))).await;
    let mut visits = Vec::new();
    while !*stop.borrow() {
        visits.push(visit(&site, &mut stop).await);
    }
    visits
}
