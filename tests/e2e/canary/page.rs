//! Policy `page`: a navigation takes a session to what a new one would get, and whatever a page loads follows the page.

use serde_json::json;

use super::{CANARY, Crowd, assert_share, count, give};
use crate::support::config::Service;
use crate::support::http::{Answer, Request};
use crate::support::session::Session;
use crate::support::stage::Stage;

#[tokio::test]
async fn a_navigation_moves_to_the_active_version_and_nothing_else_does() {
    let stage = paged().await;
    let mut session = stage.session();
    assert_eq!(navigate(&mut session).await.version(), "v1");
    let pin = session.cookies["cutover"].clone();

    stage.admin().flip("v2").await;

    for (mode, destination) in
        [("cors", "empty"), ("no-cors", "script"), ("navigate", "iframe"), ("same-origin", "document")]
    {
        let loaded = load(&mut session, mode, destination).await;
        assert_eq!(loaded.version(), "v1", "{mode} {destination}");
        assert_eq!(loaded.field("cutover-update"), Some("v2"), "{loaded:?}");
    }
    assert_eq!(session.get("/set-header").await.version(), "v1", "who says nothing navigates nowhere");
    assert_eq!(session.cookies["cutover"], pin);
    let page = navigate(&mut session).await;
    assert_eq!((page.version(), page.field("cutover-update")), ("v2", None));
    assert_ne!(session.cookies["cutover"], pin);
    assert_eq!(load(&mut session, "no-cors", "script").await.version(), "v2", "the page's files follow it");
    assert_eq!(navigate(&mut session).await.set_cookie("cutover"), None, "it stays where it is");
}

#[tokio::test]
async fn a_navigation_takes_its_share_of_the_sessions_to_the_canary_and_never_back() {
    let stage = paged().await;
    let mut crowd = Crowd::open(&stage, 200).await;

    give(&stage, 0.3).await;
    assert_eq!(count(&crowd.versions().await, "v1"), 200, "a canary moves nobody who stays on the page");
    for session in &mut crowd.0 {
        navigate(session).await;
    }
    let versions = crowd.versions().await;
    for session in &mut crowd.0 {
        navigate(session).await;
    }

    assert_share(count(&versions, "v2"), 200, 0.3);
    assert_eq!(crowd.versions().await, versions);
    let ended = stage.admin().done("POST", CANARY, json!({ "to": "v2", "share": 0 })).await;
    assert_eq!(ended["epoch"], 2);
    assert_eq!(count(&crowd.versions().await, "v1"), 200, "its end moves everybody at once");
}

async fn paged() -> Stage {
    Stage::v1_and_v2_with(Service::new("web").set("pin.policy", "page")).await
}

/// Goes to a page, as a browser says it (Fetch Metadata).
async fn navigate(session: &mut Session) -> Answer {
    load(session, "navigate", "document").await
}

async fn load(session: &mut Session, mode: &str, destination: &str) -> Answer {
    let request = Request::get("/set-header").field("Sec-Fetch-Mode", mode);
    session.ask(request.field("Sec-Fetch-Dest", destination)).await
}
