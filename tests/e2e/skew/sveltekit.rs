//! SvelteKit on its Node adapter, with a strict Content-Security-Policy.

use serde_json::json;

use super::site::{Kind, Site, service};

/// As if a minute had passed for the page, and its user came back to it.
const COME_BACK: &str = "(() => { const then = Date.now() + 60_000; Date.now = () => then;
    document.dispatchEvent(new Event('visibilitychange')); })()";

#[tokio::test]
async fn a_page_stays_whole_through_a_flip_by_its_pin_alone() {
    let Some(site) = Site::open(Kind::SvelteKit, service()).await else { return };
    let page = site.tab("/").await;
    page.until_text("#version", "v1").await;
    site.flip().await;

    page.click("#load").await;
    page.until_text("#lazy", "a part of v1").await;
    page.click("#call").await;
    page.until_text("#answer", "v1").await;
    page.click("#send").await;
    page.until_text("#sent", "v1").await;
    page.click("#other").await;
    page.until_text("#pair", "page v1, data v1").await;

    page.assert_flawless().await;
}

#[tokio::test]
async fn a_page_learns_that_there_is_a_new_version_and_a_reload_leads_to_it() {
    let Some(site) = Site::open(Kind::SvelteKit, service()).await else { return };
    let page = site.tab("/").await;
    page.until_text("#version", "v1").await;
    page.eval(COME_BACK).await.unwrap();
    assert_eq!(page.eval("document.querySelector('#cutover-update')").await, Ok(json!(null)));
    site.flip().await;

    page.eval(COME_BACK).await.unwrap();
    page.click("#cutover-update").await;
    page.until_text("#version", "v2").await;

    page.assert_flawless().await;
}
