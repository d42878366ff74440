//! A share by hand: it grows, shrinks, ends, becomes active, and outlives cutover.

use serde_json::{Value, json};

use super::{CANARY, Crowd, assert_share, canary, count, give};
use crate::support::config::Service;
use crate::support::stage::Stage;

#[tokio::test]
async fn a_share_of_the_new_sessions_goes_to_the_canary_and_stays_there() {
    let stage = Stage::v1_and_v2().await;
    let mut before = stage.session();
    assert_eq!(before.version().await, "v1");

    let given = give(&stage, 0.25).await;
    let mut crowd = Crowd::open(&stage, 400).await;

    assert_eq!((&given["epoch"], &given["canary"]["share"]), (&json!(1), &json!(0.25)), "{given}");
    let versions = crowd.versions().await;
    assert_share(count(&versions, "v2"), 400, 0.25);
    assert_eq!(crowd.versions().await, versions, "nobody moves");
    assert_eq!(before.version().await, "v1", "who has a session keeps it");
    assert_eq!(stage.admin().version("v2").await["role"], "canary");
    let labels = ["service=\"web\"", "version=\"v2\""];
    assert_eq!(stage.admin().metric("cutover_canary_share_ratio", &labels).await, 0.25);
}

#[tokio::test]
async fn a_growing_share_moves_nobody() {
    let stage = Stage::v1_and_v2().await;
    give(&stage, 0.2).await;
    let mut crowd = Crowd::open(&stage, 100).await;
    let (versions, pins) = (crowd.versions().await, crowd.pins());

    let given = give(&stage, 0.7).await;

    assert_eq!(given["epoch"], 1, "{given}");
    assert_eq!((crowd.versions().await, crowd.pins()), (versions, pins), "nobody gets another pin either");
    let newer = Crowd::open(&stage, 200).await.versions().await;
    assert_share(count(&newer, "v2"), 200, 0.7);
}

#[tokio::test]
async fn a_smaller_share_and_its_end_move_sessions_back_in_a_new_epoch_each() {
    let stage = Stage::v1_and_v2().await;
    give(&stage, 0.6).await;
    let mut crowd = Crowd::open(&stage, 200).await;
    let (all, all_pins) = (crowd.versions().await, crowd.pins());

    let shrunk = give(&stage, 0.2).await;
    let (few, few_pins) = (crowd.versions().await, crowd.pins());
    let ended = give(&stage, 0.0).await;
    let (none, none_pins) = (crowd.versions().await, crowd.pins());

    assert_eq!((&shrunk["epoch"], &ended["epoch"]), (&json!(2), &json!(3)));
    assert_eq!(ended["canary"], Value::Null);
    assert_share(count(&few, "v2"), 200, 0.2);
    assert_eq!(count(&none, "v1"), 200);
    for at in 0..200 {
        assert!(few[at] == all[at] || few[at] == "v1", "a smaller share moved somebody to the canary");
        // Whoever is moved is told by a new pin, and nobody else is.
        assert_eq!(few_pins[at] != all_pins[at], few[at] != all[at]);
        assert_eq!(none_pins[at] != few_pins[at], none[at] != few[at]);
    }
    assert_eq!(crowd.versions().await, none);
    assert_eq!(stage.admin().version("v2").await["role"], "staged");
    assert_eq!(stage.admin().metric("cutover_canaries_total", &["outcome=\"aborted\""]).await, 1.0);
    let metrics = stage.admin().call("GET", "/metrics", &Value::Null).await.text();
    assert!(!metrics.contains("cutover_canary_share_ratio{"), "there is no canary any more");
}

#[tokio::test]
async fn a_flip_makes_it_active_and_its_sessions_stay() {
    let stage = Stage::v1_and_v2().await;
    give(&stage, 0.5).await;
    let mut crowd = Crowd::open(&stage, 60).await;
    let (versions, pins) = (crowd.versions().await, crowd.pins());

    assert_eq!(stage.admin().flip("v2").await, 2);

    assert_eq!((crowd.versions().await, crowd.pins()), (versions, pins));
    let newer = Crowd::open(&stage, 30).await.versions().await;
    assert_eq!(count(&newer, "v2"), 30);
    assert_eq!(canary(&stage).await, Value::Null);
    assert_eq!(stage.admin().metric("cutover_canaries_total", &["outcome=\"promoted\""]).await, 1.0);
}

#[tokio::test]
async fn it_outlives_a_power_cut_and_so_do_its_sessions() {
    let mut stage = Stage::v1_and_v2().await;
    give(&stage, 0.4).await;
    let before = canary(&stage).await;
    let mut crowd = Crowd::open(&stage, 60).await;
    let (versions, pins) = (crowd.versions().await, crowd.pins());

    stage.kill9();
    stage.restart().await;

    assert_eq!(canary(&stage).await, before);
    // Their connections are gone; what they have is their cookies.
    let cookies: Vec<_> = crowd.0.iter().map(|session| session.cookies.clone()).collect();
    crowd.0 = cookies
        .into_iter()
        .map(|cookies| {
            let mut session = stage.session();
            session.cookies = cookies;
            session
        })
        .collect();
    assert_eq!((crowd.versions().await, crowd.pins()), (versions, pins));
    let newer = Crowd::open(&stage, 200).await.versions().await;
    assert_share(count(&newer, "v2"), 200, 0.4);
}

#[tokio::test]
async fn a_refusal_lists_every_reason() {
    let mut stage = Stage::v1_and_v2_with(Service::new("web").set("flip.gates", vec!["expand"])).await;
    let admin = stage.admin();
    let refused = async |status, body: Value| {
        let mut codes = admin.refused(status, "POST", CANARY, body).await;
        codes.sort_unstable();
        codes
    };
    admin.done("PATCH", "/v1/services/web/backends/b", json!({ "admin": "maint" })).await;
    admin.done("PUT", "/v1/services/web/freeze", json!({ "reason": "holidays" })).await;

    let by_hand = json!({ "to": "v2", "share": 0.1 });
    assert_eq!(refused(409, by_hand.clone()).await, ["frozen", "gate_closed", "nothing_usable"]);
    let all = refused(412, json!({ "to": "v2", "if_epoch": 7 })).await;
    assert_eq!(all, ["epoch_mismatch", "frozen", "gate_closed", "no_steps", "nothing_usable"]);
    let cli = stage.cli(&["canary", "web", "--share", "10%"]).await;
    assert_eq!(cli.code, 1, "{cli:?}");
    for code in ["frozen", "gate_closed", "nothing_usable"] {
        assert!(cli.stderr.contains(code), "{cli:?}");
    }
    assert_eq!(canary(&stage).await, Value::Null, "a refusal changes nothing");

    admin.done("DELETE", "/v1/services/web/freeze", Value::Null).await;
    admin.done("PUT", "/v1/services/web/versions/v2/gates/expand", json!({ "open": true })).await;
    admin.done("PATCH", "/v1/services/web/backends/b", json!({ "admin": "ready" })).await;
    stage.until_usable("b").await;
    admin.done("POST", CANARY, by_hand).await;
    stage.add("c", "v3").await;
    let other = json!({ "to": "v3", "share": 0.1 });
    assert_eq!(refused(409, other).await, ["canary_running", "gate_closed"]);
}
