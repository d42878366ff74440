//! Who can use it: with which token, with which eyes, on which screen.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::view::View;
use crate::support::app::App;
use crate::support::config::{Config, Service};
use crate::support::cutover::Cutover;
use crate::support::stage::Stage;

fn hash(token: &str) -> String {
    Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_asked_for_and_decides_which_buttons_there_are() {
    let app = App::start("v1").await;
    let config = Config::of(Service::new("web").backend("a", app.address(), "v1"))
        .set("admin.open", false)
        .admin_token("eye", &hash("look"), "read")
        .admin_token("hand", &hash("touch"), "operate");
    let cutover = Cutover::start(&config).await;
    let Some(view) = View::open(&cutover).await else { return };

    view.fill("#token", "guess").await;
    view.push("Sign in").await;
    view.until_text("#token-error", "Nobody has this token.").await;
    view.fill("#token", "look").await;
    view.push("Sign in").await;
    view.until_role("v1", "active").await;
    assert_eq!(view.eval("document.querySelectorAll('main button').length").await, Ok(json!(0)));
    view.push("Sign out").await;
    view.fill("#token", "touch").await;
    view.push("Sign in").await;
    view.until_pushable("Freeze…", true).await;
    assert_eq!(view.eval("JSON.stringify(localStorage).includes('touch')").await, Ok(json!(false)));

    view.visit(&format!("http://{}/", cutover.admin_address())).await;
    view.until_pushable("Freeze…", true).await;
    view.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_serious_keeps_anybody_out_in_either_colours_or_on_a_phone() {
    let Ok(axe) = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/dashboard/node_modules/axe-core/axe.min.js"
    )) else {
        eprintln!("skipped: the tools of the dashboard are not installed (scripts/setup.sh test)");
        return;
    };
    let stage = Stage::v1_and_v2_with(Service::new("web").set("flip.gates", vec!["smoke"])).await;
    stage.admin().done("PUT", "/v1/services/web/versions/v2/gates/smoke", json!({ "open": true })).await;
    stage.admin().done("POST", "/v1/services/web/canary", json!({ "to": "v2", "share": 0.1 })).await;
    stage.admin().done("PUT", "/v1/services/web/freeze", json!({ "reason": "night" })).await;
    let Some(view) = View::open(&stage).await else { return };
    view.until_role("v2", "canary").await;
    view.until("document.querySelectorAll('.charts canvas').length", &json!(3)).await;
    // It is run by the protocol, which the policy of the page is not for.
    view.eval(&format!("{axe}; 0")).await.unwrap();

    for scheme in ["light", "dark"] {
        view.screen(1280, scheme).await;
        assert_eq!(violations(&view).await, json!([]), "{scheme}");
        view.picture(&format!("wide-{scheme}")).await;
    }
    view.screen(375, "light").await;
    view.until("document.documentElement.scrollWidth <= 375", &json!(true)).await;
    view.push("Flip…").await;
    view.until_reasons(&["frozen"]).await;
    view.until("document.activeElement.closest('dialog') !== null", &json!(true)).await;
    assert_eq!(violations(&view).await, json!([]), "the dialog");
    view.until("document.documentElement.scrollWidth <= 375", &json!(true)).await;
    for _ in 0..12 {
        view.press("Tab").await;
        let is_outside = view.eval("document.activeElement.matches('#app header *, #app main *')").await;
        assert_eq!(is_outside, Ok(json!(false)), "the focus left the dialog");
    }
    view.press("Escape").await;
    view.until("document.querySelector('dialog')", &json!(null)).await;
    view.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_has_to_be_pushed_sideways_on_the_smallest_phone() {
    let stage = Stage::v1_and_v2().await;
    stage.admin().flip("v2").await;
    let Some(view) = View::open(&stage).await else { return };
    view.until_role("v1", "drained").await;
    view.until("document.querySelectorAll('.charts canvas').length", &json!(3)).await;

    for scheme in ["light", "dark"] {
        view.screen(320, scheme).await;
        view.until(WIDER_THAN_THE_SCREEN, &json!([])).await;
        view.picture(&format!("narrow-{scheme}")).await;
        for button in ["Roll back…", "Freeze…", "Drain… b"] {
            view.push(button).await;
            view.until("document.activeElement.closest('dialog') !== null", &json!(true)).await;
            view.until(WIDER_THAN_THE_SCREEN, &json!([])).await;
            view.picture(&format!("narrow-{scheme}-{}", button.split('…').next().unwrap())).await;
            view.press("Escape").await;
            view.until("document.querySelector('dialog')", &json!(null)).await;
        }
    }
    view.assert_clean().await;
}

/// What reaches beyond the right edge of the screen, but for what scrolls in a box of its own or is for screen readers only; and the page
/// itself when it scrolls.
const WIDER_THAN_THE_SCREEN: &str = "(() => { \
    const width = document.documentElement.clientWidth; \
    const isHeld = element => element !== null && (/auto|scroll/.test(getComputedStyle(element).overflowX) || isHeld(element.parentElement)); \
    const beyond = [...document.querySelectorAll('#app *, dialog, dialog *')] \
        .filter(element => element.getBoundingClientRect().right > width + 1 && !isHeld(element.parentElement)) \
        .map(element => element.tagName + '.' + element.className); \
    return document.documentElement.scrollWidth > width ? ['the page', ...beyond] : beyond; })()";

/// What axe holds against the page as serious or worse, with the first place of each.
async fn violations(view: &View) -> Value {
    let run = "axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations\
        .filter(({ impact }) => impact === 'serious' || impact === 'critical')\
        .map(({ id, nodes }) => id + ': ' + nodes.map(({ html }) => html).slice(0, 3).join(' ')))";
    view.eval(run).await.unwrap()
}
