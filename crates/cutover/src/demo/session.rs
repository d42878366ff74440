//! One visit: a page, its assets, a call, sometimes an order, a pause, and again, until the visitor leaves.

use std::{net::SocketAddr, time::Duration};

use hyper::{Method, StatusCode, body::Bytes};
use sha2::{Digest as _, Sha256};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use super::{
    app::{VISITOR_COOKIE, hex},
    browser::Browser,
    dice::Dice,
    http::{Answer, Error},
    live::Live,
    release::Release,
    trace::{Failure, Fault, Seen, Visit},
};

/// How long a visit lasts, in milliseconds: a visitor of seconds, so that a drain is short enough to be watched.
const VISIT_MS: (u64, u64) = (2_000, 8_000);
/// Pause between two page views, in milliseconds.
const THINK_MS: (u64, u64) = (200, 1_200);
/// One page view in this many ends with an order.
const ORDERS_ONE_IN: u64 = 4;
/// Size of an order, in bytes.
const ORDER_BYTES: (u64, u64) = (100, 4_000);

/// Where the visitors go, and what they share.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) address: SocketAddr,
    pub(super) host: &'static str,
    pub(super) dice: Dice,
    pub(super) live: Live,
}

/// Visits the site until the visit's time is over or `stop` says so.
pub(super) async fn visit(site: &Site, stop: &mut watch::Receiver<bool>) -> Visit {
    let leaves = Instant::now() + Duration::from_millis(site.dice.between(VISIT_MS.0, VISIT_MS.1));
    let mut visitor =
        Visitor { site, browser: Browser::new(site.address, site.host), visit: Visit::default() };
    loop {
        visitor.view().await;
        let think = Duration::from_millis(site.dice.between(THINK_MS.0, THINK_MS.1));
        // A load that is gone stops its visitors as well.
        let is_stopped = timeout(think, stop.wait_for(|stop| *stop)).await.is_ok();
        if is_stopped || Instant::now() >= leaves {
            return visitor.visit;
        }
    }
}

struct Visitor<'a> {
    site: &'a Site,
    browser: Browser,
    visit: Visit,
}

impl Visitor<'_> {
    async fn view(&mut self) {
        let sent = Instant::now();
        let page = self.browser.load("/").await;
        let Some((page, seen)) = self.check("/", sent, page, "data-app-version=\"") else { return };
        let page = String::from_utf8_lossy(&page.body).into_owned();
        let (Some(style), Some(script)) = (quoted_after(&page, "href=\""), quoted_after(&page, "src=\""))
        else {
            return self.fail("/", Fault::Wrong("the page names no assets"));
        };
        let sent = Instant::now();
        for (target, asset) in [style, script].into_iter().zip(self.browser.load_both([style, script]).await)
        {
            self.check_asset(target, sent, asset, seen);
        }
        self.look_into_cart().await;
        if self.site.dice.between(1, ORDERS_ONE_IN) == 1 {
            self.order().await;
        }
    }

    /// The app must see the cookie that it set, beside the proxy's own.
    async fn look_into_cart(&mut self) {
        let sent = Instant::now();
        let answer = self.browser.load("/api/cart").await;
        let Some((answer, _)) = self.check("/api/cart", sent, answer, "\"version\":\"") else { return };
        let cart = String::from_utf8_lossy(&answer.body);
        if quoted_after(&cart, "\"visitor\":\"") != self.browser.cookie(VISITOR_COOKIE) {
            self.fail("/api/cart", Fault::Wrong("the cart is another visitor's"));
        }
    }

    async fn order(&mut self) {
        let size = self.site.dice.between(ORDER_BYTES.0, ORDER_BYTES.1);
        let order: Bytes =
            (0..size).flat_map(|_| self.site.dice.roll().to_le_bytes().into_iter().take(1)).collect();
        let checksum = hex(&Sha256::digest(&order));
        let sent = Instant::now();
        let answer = self.browser.send(Method::POST, "/api/order", order).await;
        let Some((answer, _)) = self.check("/api/order", sent, answer, "\"version\":\"") else { return };
        if quoted_after(&String::from_utf8_lossy(&answer.body), "\"sha256\":\"") != Some(&checksum) {
            self.fail("/api/order", Fault::Wrong("the order arrived changed"));
        }
    }

    fn check_asset(&mut self, target: &str, sent: Instant, asset: Result<Answer, Error>, page: Seen) {
        let missing = asset.as_ref().ok().filter(|answer| answer.status == StatusCode::NOT_FOUND);
        let missed_by = missing.and_then(|answer| named_release(answer, "\"version\":\""));
        let Some(by) = missed_by else {
            self.check(target, sent, asset, "app-version=\"");
            return;
        };
        self.count();
        self.see(by, sent);
        self.fail(target, Fault::AssetMissing { page, by });
    }

    /// Counts the answer, and gives it back with what it shows if it is a good one.
    fn check(
        &mut self,
        target: &str,
        sent: Instant,
        answer: Result<Answer, Error>,
        marker: &str,
    ) -> Option<(Answer, Seen)> {
        self.count();
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                self.fail(target, Fault::NoAnswer(error.to_string()));
                return None;
            }
        };
        if answer.status != StatusCode::OK {
            self.fail(target, Fault::Status(answer.status.as_u16()));
            return None;
        }
        let Some(release) = named_release(&answer, marker) else {
            self.fail(target, Fault::Wrong("the answer names no version"));
            return None;
        };
        Some((answer, self.see(release, sent)))
    }

    fn count(&mut self) {
        self.visit.requests += 1;
        self.site.live.count_request();
    }

    fn see(&mut self, release: Release, sent: Instant) -> Seen {
        let seen = Seen { release, sent, answered: Instant::now() };
        self.visit.answers.push(seen);
        self.site.live.count_answer(release);
        seen
    }

    fn fail(&mut self, target: &str, fault: Fault) {
        self.site.live.count_failure(&fault);
        self.visit.failures.push(Failure { target: target.to_owned(), fault, answered: Instant::now() });
    }
}

fn named_release(answer: &Answer, marker: &str) -> Option<Release> {
    quoted_after(&String::from_utf8_lossy(&answer.body), marker).and_then(Release::parse)
}

/// What stands between the marker, which ends with a quote, and the next quote.
fn quoted_after<'a>(text: &'a str, marker: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(marker)?;
    rest.split_once('"').map(|(quoted, _)| quoted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::app::tests::serve_with;

    #[tokio::test]
    async fn a_view_of_an_honest_site_has_no_failure() {
        let (address, _stop) = serve_with(&["--version", "v2"]).await;

        let visit = one_view(address).await;

        assert!(visit.failures.is_empty(), "{:?}", visit.failures);
        assert!((4..=5).contains(&visit.requests));
        assert!(visit.answers.iter().all(|seen| seen.release == Release::parse("v2").unwrap()));
    }

    #[tokio::test]
    async fn a_view_that_fails_says_how() {
        let (address, _stop) = serve_with(&["--error-rate", "1"]).await;
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();

        let failing = one_view(address).await;
        let alone = one_view(nobody).await;

        assert!(matches!(failing.failures[0].fault, Fault::Status(500)));
        assert!(matches!(alone.failures[0].fault, Fault::NoAnswer(_)));
        assert_eq!((failing.requests, alone.requests), (1, 1));
    }

    #[tokio::test]
    async fn an_asset_of_another_build_is_told_apart_from_other_failures() {
        let (address, _stop) = serve_with(&["--version", "v2"]).await;
        let site = site(address);
        let browser = Browser::new(address, "app.localhost");
        let mut visitor = Visitor { site: &site, browser, visit: Visit::default() };
        let now = Instant::now();
        let page = Seen { release: Release::FIRST, sent: now, answered: now };

        let asset = visitor.browser.load("/assets/app.v1.js").await;
        visitor.check_asset("/assets/app.v1.js", now, asset, page);

        let fault = &visitor.visit.failures[0].fault;
        assert!(matches!(fault, Fault::AssetMissing { page, by } if page.release < *by), "{fault:?}");
    }

    /// A visit to a site that closes at once lasts for one view.
    async fn one_view(address: SocketAddr) -> Visit {
        let (_stop, mut stopped) = watch::channel(true);
        visit(&site(address), &mut stopped).await
    }

    fn site(address: SocketAddr) -> Site {
        Site { address, host: "app.localhost", dice: Dice::from_entropy().unwrap(), live: Live::default() }
    }
}
