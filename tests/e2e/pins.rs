//! Pins: the cookie, when it is set and when not, what the app and the client see of it, and what garbage does.

use serde_json::{Value, json};

use crate::support::config::{Config, Service};
use crate::support::http::{Answer, Request};
use crate::support::stage::Stage;
use crate::support::wait::until;

#[tokio::test]
async fn the_first_answer_pins_and_the_next_ones_do_not_repeat_it() {
    let stage = Stage::v1().await;
    let mut session = stage.session();

    let first = session.get("/").await;
    let second = session.get("/").await;

    let cookie = first.set_cookie("cutover").unwrap_or_else(|| panic!("no pin: {first:?}"));
    let mut attributes: Vec<_> = cookie.split("; ").skip(1).collect();
    attributes.sort_unstable();
    assert_eq!(attributes, ["HttpOnly", "Path=/", "SameSite=Lax"], "{cookie}");
    let value = pin(&first);
    assert!(value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{value}");
    assert_eq!(second.set_cookie("cutover"), None);
}

#[tokio::test]
async fn over_tls_the_pin_is_secure_and_bound_to_the_host() {
    let stage = Stage::v1().await;

    let first = stage.ask(&Request::get("/").field("X-Forwarded-Proto", "https")).await;

    let cookie = first.set_cookie("__Host-cutover").unwrap_or_else(|| panic!("no pin: {first:?}"));
    let mut attributes: Vec<_> = cookie.split("; ").skip(1).collect();
    attributes.sort_unstable();
    assert_eq!(attributes, ["HttpOnly", "Path=/", "SameSite=Lax", "Secure"], "{cookie}");
    let value = cookie.split(';').next().unwrap();
    let again = Request::get("/cookie").field("X-Forwarded-Proto", "https").field("Cookie", value);
    let again = stage.ask(&again).await;
    assert_eq!((again.set_cookie("__Host-cutover"), &again.json()["cookie"]), (None, &json!([])));
}

#[tokio::test]
async fn the_cookie_is_as_it_was_configured() {
    let service = Service::new("web")
        .set("pin.cookie", "shop_pin")
        .set("pin.same_site", "None")
        .set("pin.partitioned", true)
        .set("pin.max_life", "1h");
    let stage = Stage::v1_with(service).await;

    let first = stage.ask(&Request::get("/").field("X-Forwarded-Proto", "https")).await;

    let cookie = first.set_cookie("__Host-shop_pin").unwrap_or_else(|| panic!("no pin: {first:?}"));
    let mut attributes: Vec<_> = cookie.split("; ").skip(1).collect();
    attributes.sort_unstable();
    assert_eq!(attributes, ["HttpOnly", "Max-Age=3600", "Partitioned", "Path=/", "SameSite=None", "Secure"]);
}

#[tokio::test]
async fn the_app_sees_its_own_cookies_and_not_the_pin() {
    let stage = Stage::v1().await;
    let pin = pin(&stage.ask(&Request::get("/")).await);
    let seen = async |cookies: &str| -> Value {
        stage.ask(&Request::get("/cookie").field("Cookie", cookies)).await.json()["cookie"].clone()
    };

    assert_eq!(seen(&format!("cutover={pin}")).await, json!([]));
    assert_eq!(seen(&format!("a=\"1 2\";  b=; cutover={pin}; c")).await, json!(["a=\"1 2\";  b=; c"]));
    assert_eq!(seen(&format!("cutover={pin}; cutover2=x")).await, json!(["cutover2=x"]));
}

#[tokio::test]
async fn the_app_sees_the_pin_where_it_is_forwarded() {
    let stage = Stage::v1_with(Service::new("web").set("pin.forward", true)).await;
    let pin = pin(&stage.ask(&Request::get("/")).await);

    let seen = stage.ask(&Request::get("/cookie").field("Cookie", &format!("cutover={pin}"))).await;

    assert_eq!(seen.json()["cookie"], json!([format!("cutover={pin}")]));
}

#[tokio::test]
async fn without_pins_no_cookie_is_set() {
    let stage = Stage::v1_with(Service::new("web").set("pin.policy", "none")).await;

    assert_eq!(stage.ask(&Request::get("/cookie?own=1")).await.head.all("set-cookie").count(), 1);
}

#[tokio::test]
async fn the_app_can_end_a_pin_and_ask_for_none() {
    let stage = Stage::v1_and_v2().await;
    let mut session = stage.session();
    session.get("/").await;
    stage.admin().flip("v2").await;
    assert_eq!(session.version().await, "v1");

    let end = session.get("/set-header?Cutover-Pin=end").await;
    let none = stage.ask(&Request::get("/set-header?Cutover-Pin=none")).await;

    assert!(end.set_cookie("cutover").is_some_and(|cookie| cookie.contains("Max-Age=0")), "{end:?}");
    assert_eq!(session.version().await, "v2");
    assert_eq!((none.status(), none.set_cookie("cutover")), (200, None));
    assert_eq!((end.field("cutover-pin"), none.field("cutover-pin")), (None, None));
}

#[tokio::test]
async fn a_pin_is_never_set_where_a_shared_cache_may_keep_it() {
    let stage = Stage::v1().await;
    let asked = async |control: &str| -> Answer {
        stage.ask(&Request::get(&format!("/set-header?Cache-Control={control}"))).await
    };

    for shared in ["public", "Public,%20max-age=60", "max-age=60,%20s-maxage=10", "s-maxage=0"] {
        let answer = asked(shared).await;
        assert_eq!(answer.set_cookie("cutover"), None, "{shared}: {answer:?}");
    }
    assert_eq!(stage.ask(&Request::get("/assets/app.v1.js")).await.set_cookie("cutover"), None);
    for own in ["private", "no-store", "private,%20max-age=60"] {
        assert!(asked(own).await.set_cookie("cutover").is_some(), "{own}");
    }
    let silent = stage.ask(&Request::get("/")).await;
    assert!(silent.set_cookie("cutover").is_some(), "{silent:?}");
    assert_eq!(silent.field("cache-control"), Some("private"));
}

#[tokio::test]
async fn a_client_learns_what_it_is_pinned_to_and_that_there_is_something_newer() {
    let stage = Stage::v1_and_v2().await;
    let mut session = stage.session();

    let before = session.get("/.cutover/version").await;
    assert_eq!(before.field("cache-control"), Some("no-store"));
    let unpinned = json!({ "service": "web", "version": null, "epoch": null, "active": "v1", "active_epoch": 1, "update": false });
    assert_eq!(before.json(), unpinned);
    assert_eq!(session.get("/").await.field("cutover-update"), None);
    stage.admin().flip("v2").await;

    let page = session.get("/").await;
    assert_eq!((page.version(), page.field("cutover-update")), ("v1", Some("v2")));
    let after = session.get("/.cutover/version").await.json();
    let outdated = json!({ "service": "web", "version": "v1", "epoch": 1, "active": "v2", "active_epoch": 2, "update": true });
    assert_eq!(after, outdated);
    assert_eq!(stage.ask(&Request::get("/")).await.field("cutover-update"), None);
}

#[tokio::test]
async fn a_damaged_pin_is_as_if_there_were_none_and_is_counted() {
    let stage = Stage::v1_and_v2().await;
    let pin = pin(&stage.ask(&Request::get("/")).await);
    stage.admin().flip("v2").await;
    let version = async |cookie: &str| -> String {
        let answer = stage.ask(&Request::get("/").field("Cookie", &format!("cutover={cookie}"))).await;
        assert_eq!(answer.status(), 200, "{cookie}: {answer:?}");
        answer.version().to_owned()
    };
    assert_eq!(version(&pin).await, "v1", "the pin itself is good");

    let damaged: Vec<String> = damages(&pin).collect();
    for cookie in &damaged {
        assert_eq!(version(cookie).await, "v2", "{cookie} of {pin}");
    }

    // A request is counted after its last byte went out.
    until("all of them are counted", async || {
        let mut counted = 0.0;
        for outcome in ["malformed", "bad_mac", "unknown_key"] {
            counted += stage.admin().metric("cutover_pins_total", &[&format!("outcome=\"{outcome}\"")]).await;
        }
        (counted == f64::from(u32::try_from(damaged.len()).unwrap())).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_good_pin_beside_garbage_of_the_same_name_counts() {
    let stage = Stage::v1_and_v2().await;
    let pin = pin(&stage.ask(&Request::get("/")).await);
    stage.admin().flip("v2").await;

    let cookies = format!("cutover=garbage; cutover={pin}; cutover=");
    let answer = stage.ask(&Request::get("/").field("Cookie", &cookies)).await;

    assert_eq!(answer.version(), "v1");
}

#[tokio::test]
async fn a_pin_of_another_service_is_worth_nothing() {
    let other = Service::new("other").set("hosts", vec!["other.test"]);
    let stage = Stage::open(&Config::of(Service::new("web").set("hosts", vec!["web.test"])).and(other)).await;
    let app = crate::support::app::App::start("v1").await;
    let body = json!({ "address": app.address(), "ttl": "0" });
    stage.admin().done("PUT", "/v1/services/other/backends/o", body).await;
    until("the other service serves", async || {
        (stage.admin().get("/v1/services/other").await["active"] == "v1").then_some(())
    })
    .await;
    let pin = pin(&stage.ask(&Request::get("/")).await);

    let request = Request::get("/").field("Host", "other.test").field("Cookie", &format!("cutover={pin}"));
    let answer = stage.ask(&request).await;

    assert_eq!(answer.status(), 200);
    assert!(answer.set_cookie("cutover").is_some(), "the pin of `web` counts in `other`: {answer:?}");
}

/// The value of the pin that an answer sets.
fn pin(answer: &Answer) -> String {
    let cookie = answer.set_cookie("cutover").unwrap_or_else(|| panic!("no pin: {answer:?}"));
    cookie.split(';').next().unwrap().split_once('=').unwrap().1.to_owned()
}

/// Every character changed, cut short everywhere, and things that never were a pin. None of them is a whole cookie field too long.
fn damages(pin: &str) -> impl Iterator<Item = String> {
    let changed = pin.char_indices().map(|(at, character)| {
        let other = if character == 'A' { 'B' } else { 'A' };
        format!("{}{other}{}", &pin[..at], &pin[at + 1..])
    });
    let last_bits = "AEIMQUYcgkosw048BCD".chars().map(|last| format!("{}{last}", &pin[..pin.len() - 1]));
    let cut = (1..pin.len()).map(|length| pin[..length].to_owned());
    let foreign = ["x", "=", "%00", "{}", "\"\"", "\u{e9}", "' OR 1=1 --"].map(str::to_owned);
    let huge = [pin.repeat(20), "A".repeat(8000), format!("{pin}=="), format!("{pin}A"), pin.to_lowercase()];
    let all = changed.chain(last_bits).chain(cut).chain(foreign).chain(huge);
    let pin = pin.to_owned();
    all.filter(move |damaged| *damaged != pin)
}
