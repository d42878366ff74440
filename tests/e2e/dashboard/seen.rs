//! What people see and do: a flip as it happens, a flip of their own, a refusal, a restart of cutover.

use serde_json::json;

use super::view::View;
use crate::support::config::Service;
use crate::support::load::Load;
use crate::support::stage::Stage;

/// A service whose flips need a gate.
fn gated() -> Service {
    Service::new("web").set("flip.gates", vec!["smoke"])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flip_elsewhere_is_seen_at_once_with_its_numbers() {
    let stage = Stage::v1_and_v2().await;
    let Some(view) = View::open(&stage).await else { return };
    let load = Load::start_paced(stage.proxy(), 4, std::time::Duration::from_millis(50));
    view.until_role("v1", "active").await;
    view.until_role("v2", "staged").await;

    let flipped = stage.cli(&["flip", "web", "v2", "--reason", "release"]).await;

    assert_eq!(flipped.code, 0, "{flipped:?}");
    view.until_role("v2", "active").await;
    view.until_role("v1", "draining").await;
    let told = "[...document.querySelectorAll('.timeline li')].some(line => /switched from v1 to v2/.test(line.textContent))";
    view.until(told, &json!(true)).await;
    let has_rate = "Number(document.querySelector('[data-role=active] .numbers dd').textContent) > 0";
    view.until(has_rate, &json!(true)).await;
    view.until("document.querySelectorAll('.charts canvas').length", &json!(3)).await;
    load.stop().await.assert_flawless();
    view.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flip_is_made_by_a_button_once_nothing_stands_in_its_way() {
    let stage = Stage::v1_and_v2_with(gated()).await;
    let Some(view) = View::open(&stage).await else { return };
    stage.admin().done("PUT", "/v1/services/web/freeze", json!({ "reason": "black friday" })).await;
    view.until_role("v2", "staged").await;

    view.push("Flip…").await;
    view.until_reasons(&["frozen", "gate_closed"]).await;
    view.until_pushable("Flip", false).await;
    stage.admin().done("DELETE", "/v1/services/web/freeze", json!(null)).await;
    view.until_reasons(&["gate_closed"]).await;
    stage.admin().done("PUT", "/v1/services/web/versions/v2/gates/smoke", json!({ "open": true })).await;
    view.fill("dialog input", "looks good").await;
    view.push("Flip").await;

    view.until_role("v2", "active").await;
    view.until("document.querySelector('dialog')", &json!(null)).await;
    let timeline = stage.admin().get("/v1/services/web/timeline").await;
    let mut entries = timeline["entries"].as_array().unwrap().iter();
    assert!(
        entries.any(|entry| entry["kind"] == "activated" && entry["reason"] == "looks good"),
        "{timeline}"
    );
    view.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_is_typed_and_a_refusal_lists_its_reasons() {
    let stage = Stage::v1_and_v2().await;
    stage.admin().flip("v2").await;
    let Some(view) = View::open(&stage).await else { return };

    view.push("Drain… b").await;
    view.push("Drain").await;
    view.until_reasons(&["below_min_capacity"]).await;
    view.press("Escape").await;
    view.until("document.activeElement?.ariaLabel", &json!("Drain… b")).await;
    view.push("Roll back…").await;
    view.until_pushable("Roll back", false).await;
    view.fill("dialog label:has(kbd) input", "web").await;
    view.push("Roll back").await;

    view.until_role("v1", "active").await;
    view.until_role("v2", "rejected").await;
    view.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_outlives_a_restart_of_cutover() {
    let mut stage = Stage::v1_and_v2().await;
    let Some(view) = View::open(&stage).await else { return };
    view.until_link("live").await;
    view.eval("window.isSamePage = true").await.unwrap();

    stage.kill9();
    view.until_link("reconnecting").await;
    stage.restart().await;

    view.until_link("live").await;
    stage.until_usable("b").await;
    stage.admin().flip("v2").await;
    view.until_role("v2", "active").await;
    assert_eq!(view.eval("window.isSamePage").await, Ok(json!(true)));
    view.assert_clean().await;
}
