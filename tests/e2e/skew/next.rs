//! Next.js as its standalone server, with a `deploymentId`.

use serde_json::json;

use super::site::{Kind, Site, paged, service, with_assets};
use crate::support::browser::Tab;
use crate::support::config::Service;

/// Next.js names the deployment of a page in every request that it makes from there.
fn by_deployment() -> Service {
    service().set("pin.query", json!(["dpl"])).set("pin.headers", json!(["x-deployment-id"]))
}

#[tokio::test]
async fn a_page_stays_whole_through_a_flip_by_its_pin() {
    let Some(site) = Site::open(Kind::Next, service()).await else { return };
    let page = site.tab("/").await;
    page.until_text("#version", "v1").await;
    site.flip().await;

    assert_works_as_v1(&page).await;
    page.click("#other").await;
    page.until_text("#pair", "page v1, data v1").await;

    page.assert_flawless().await;
}

#[tokio::test]
async fn a_page_reaches_its_deployment_whatever_the_session_is_pinned_to_and_moves_when_that_is_gone() {
    let Some(mut site) = Site::open(Kind::Next, with_assets(paged(by_deployment()))).await else { return };
    let (page, other) = (site.tab("/").await, site.tab("/").await);
    other.until_text("#version", "v1").await;
    site.flip().await;
    let newer = site.tab("/").await;
    newer.until_text("#version", "v2").await;

    assert_works_as_v1(&page).await;
    let of_the_page = page.loaded("dpl=v1").await;
    assert!(of_the_page.len() > 5, "{of_the_page:#?}");
    assert!(of_the_page.iter().all(|answer| answer.field("x-app-version") == Some("v1")), "{of_the_page:#?}");
    newer.visit(&site.url("/")).await;
    newer.until_text("#version", "v2").await;
    site.stop("v1").await;
    other.clear_cache().await;
    other.click("#load").await;
    other.until_text("#lazy", "a part of v1").await;
    site.until_found("vault").await;
    page.click("#other").await;
    page.until_text("#pair", "page v2, data v2").await;

    page.assert_flawless().await;
    other.assert_flawless().await;
    newer.assert_flawless().await;
}

async fn assert_works_as_v1(page: &Tab) {
    page.click("#load").await;
    page.until_text("#lazy", "a part of v1").await;
    page.click("#call").await;
    page.until_text("#answer", "v1").await;
    page.click("#send").await;
    page.until_text("#sent", "v1").await;
}
