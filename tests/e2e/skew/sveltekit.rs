//! SvelteKit on its Node adapter, with a strict Content-Security-Policy.

use serde_json::json;

use super::site::{Kind, Site, paged, service, with_assets};

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

#[tokio::test]
async fn under_policy_page_the_next_navigation_is_of_the_new_version_and_an_open_page_stays_whole() {
    let Some(site) = Site::open(Kind::SvelteKit, paged(service())).await else { return };
    let page = site.tab("/").await;
    page.until_text("#version", "v1").await;
    site.flip().await;

    page.click("#load").await;
    page.until_text("#lazy", "a part of v1").await;
    page.click("#call").await;
    page.until_text("#answer", "v1").await;
    page.click("#other").await;
    page.until_text("#pair", "page v1, data v1").await;
    page.visit(&site.url("/")).await;
    page.until_text("#version", "v2").await;
    page.click("#other").await;
    page.until_text("#pair", "page v2, data v2").await;

    page.assert_flawless().await;
}

#[tokio::test]
async fn files_of_an_open_page_are_found_in_the_version_that_drains_and_then_in_the_vault() {
    let Some(mut site) = Site::open(Kind::SvelteKit, with_assets(paged(service()))).await else { return };
    // Somebody has loaded that part before, or nobody but v1 would ever have had it.
    let earlier = site.tab("/").await;
    earlier.click("#load").await;
    earlier.until_text("#lazy", "a part of v1").await;
    let (during, after) = (site.tab("/").await, site.tab("/").await);
    site.flip().await;
    let newer = site.tab("/").await;
    newer.until_text("#version", "v2").await;

    during.clear_cache().await;
    during.click("#load").await;
    during.until_text("#lazy", "a part of v1").await;
    site.until_found("other_version").await;
    site.stop("v1").await;
    after.clear_cache().await;
    after.click("#load").await;
    after.until_text("#lazy", "a part of v1").await;
    site.until_found("vault").await;

    for page in [&during, &after, &newer] {
        page.assert_flawless().await;
    }
}
