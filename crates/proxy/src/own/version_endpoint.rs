//! `GET /.cutover/version`, also under a service's own path: which version this client is pinned to and which one is active, so that an app can offer a reload.

use std::sync::Arc;

use cutover_core::pin::{NoPin, Pin};
use cutover_core::preview::Preview;
use cutover_core::snapshot::{ServiceSet, VersionSet};
use http::{Method, StatusCode};

use crate::message::json;
use crate::own::respond::{self, Own};

/// The path. It belongs to the proxy in every service, as it is and behind the prefix by which the service was found: who has only a
/// prefix is found by nothing else.
const PATH: &str = "/.cutover/version";

/// Whether `path`, of which the first `prefix_len` bytes are the service's prefix, is this one.
#[must_use]
pub(crate) fn is_at(path: &[u8], prefix_len: usize) -> bool {
    path.strip_suffix(PATH.as_bytes()).is_some_and(|front| front.is_empty() || front.len() == prefix_len)
}

/// The answer to a request with `method` and `pin` (as [`pin::read`](crate::pin::read) answers): an object, never stored; 405 for
/// anything but GET and HEAD.
///
/// With a `preview` it tells of that instead: there is no epoch in it, and nothing to update to. Otherwise `version` is `null` without a
/// pin, and for a pin of a version that is forgotten by now; then `update` is true.
#[must_use]
pub(crate) fn answer(
    method: &Method,
    service: &ServiceSet,
    pin: Result<Pin, NoPin>,
    preview: Option<Preview>,
) -> Own {
    if !matches!(*method, Method::GET | Method::HEAD) {
        let body = b"only GET and HEAD are answered here\n".to_vec();
        let mut own = respond::plain(StatusCode::METHOD_NOT_ALLOWED, "text/plain; charset=utf-8", body);
        own.fields.append_other("Allow", b"GET, HEAD");
        return own;
    }
    respond::plain(StatusCode::OK, "application/json", body(service, pin.ok(), preview))
}

fn body(service: &ServiceSet, pin: Option<Pin>, preview: Option<Preview>) -> Vec<u8> {
    let active = service.active_version();
    let pin = pin.filter(|_| preview.is_none());
    let hash = preview.map(|preview| preview.version).or(pin.map(|pin| pin.version));
    let served = hash.and_then(|hash| service.versions.iter().find(|version| version.hash == hash));
    let is_outdated = pin.is_some_and(|pin| service.has_update_for(pin));
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(br#"{"service":"#);
    json::write_string(&mut out, service.name.as_str().as_bytes());
    out.extend_from_slice(br#","version":"#);
    write_or_null(&mut out, served, write_label);
    out.extend_from_slice(br#","epoch":"#);
    write_or_null(&mut out, pin.map(|pin| pin.epoch.0), json::write_number);
    out.extend_from_slice(br#","active":"#);
    write_or_null(&mut out, active, write_label);
    out.extend_from_slice(br#","active_epoch":"#);
    write_or_null(&mut out, active.map(|_| service.epoch.0), json::write_number);
    out.extend_from_slice(br#","update":"#);
    out.extend_from_slice(if is_outdated { b"true" } else { b"false" });
    if preview.is_some() {
        out.extend_from_slice(br#","preview":true"#);
    }
    out.extend_from_slice(b"}\n");
    out
}

fn write_label(out: &mut Vec<u8>, version: &Arc<VersionSet>) {
    json::write_string(out, version.label.as_str().as_bytes());
}

fn write_or_null<T>(out: &mut Vec<u8>, value: Option<T>, write: impl FnOnce(&mut Vec<u8>, T)) {
    match value {
        Some(value) => write(out, value),
        None => out.extend_from_slice(b"null"),
    }
}

#[cfg(test)]
mod tests {
    use cutover_core::decide::PinAction;
    use cutover_core::id::Epoch;
    use cutover_core::policy::Policy;

    use super::*;
    use crate::worker::fleet::Fleet;

    fn said(fleet: &Fleet, pin: Result<Pin, NoPin>) -> String {
        let own = answer(&Method::GET, fleet.set(), pin, None);
        assert_eq!(own.status, StatusCode::OK);
        assert_eq!(own.fields.named("content-type"), Some(&b"application/json"[..]));
        assert_eq!(own.fields.named("cache-control"), Some(&b"no-store"[..]));
        String::from_utf8(own.body).unwrap()
    }

    fn pinned(fleet: &Fleet) -> Pin {
        let PinAction::Hand(pin, _) = fleet.choice(Err(NoPin::Absent)).pin else { panic!("no pin") };
        pin
    }

    #[test]
    fn without_a_pin_version_and_epoch_are_null() {
        let expected =
            r#"{"service":"web","version":null,"epoch":null,"active":"v1","active_epoch":1,"update":false}"#;
        assert_eq!(said(&Fleet::new(Policy::default()), Err(NoPin::Expired)).trim_end(), expected);
    }

    #[test]
    fn a_pin_to_the_active_version_needs_no_update() {
        let fleet = Fleet::new(Policy::default());
        let expected =
            r#"{"service":"web","version":"v1","epoch":1,"active":"v1","active_epoch":1,"update":false}"#;
        assert_eq!(said(&fleet, Ok(pinned(&fleet))).trim_end(), expected);
    }

    #[test]
    fn after_a_flip_the_client_should_update() {
        let mut fleet = Fleet::new(Policy::default());
        let pin = pinned(&fleet);
        fleet.flip("v2");
        let expected =
            r#"{"service":"web","version":"v1","epoch":1,"active":"v2","active_epoch":2,"update":true}"#;
        assert_eq!(said(&fleet, Ok(pin)).trim_end(), expected);
        let forgotten = Pin { version: 1, epoch: Epoch(0), ..pin };
        let expected =
            r#"{"service":"web","version":null,"epoch":0,"active":"v2","active_epoch":2,"update":true}"#;
        assert_eq!(said(&fleet, Ok(forgotten)).trim_end(), expected);
    }

    #[test]
    fn a_preview_is_told_of_in_place_of_the_pin() {
        let mut fleet = Fleet::new(Policy::default());
        let pin = pinned(&fleet);
        fleet.flip("v2");
        let version = cutover_core::pin::version_hash(&fleet.set().versions[1].label);
        let preview = Preview { version, expires_at: cutover_core::time::Timestamp::from_secs(9) };
        let own = answer(&Method::GET, fleet.set(), Ok(pin), Some(preview));
        let expected = concat!(
            r#"{"service":"web","version":"v2","epoch":null,"active":"v2","active_epoch":2,"update":false,"#,
            r#""preview":true}"#
        );
        assert_eq!(String::from_utf8(own.body).unwrap().trim_end(), expected);
    }

    #[test]
    fn it_is_where_the_service_is_and_nowhere_else() {
        for (path, prefix_len) in
            [("/.cutover/version", 0), ("/.cutover/version", 5), ("/app/.cutover/version", 4)]
        {
            assert!(is_at(path.as_bytes(), prefix_len), "{path}");
        }
        for (path, prefix_len) in [
            ("/app/.cutover/version", 0),
            ("/app/x/.cutover/version", 4),
            ("/.cutover/version/", 0),
            ("/app/.cutover/versions", 4),
            ("/app", 4),
        ] {
            assert!(!is_at(path.as_bytes(), prefix_len), "{path}");
        }
    }

    #[test]
    fn only_reading_is_allowed() {
        let fleet = Fleet::new(Policy::default());
        let refused = answer(&Method::POST, fleet.set(), Err(NoPin::Absent), None);
        assert_eq!(refused.status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(refused.fields.named("allow"), Some(&b"GET, HEAD"[..]));
        assert_eq!(answer(&Method::HEAD, fleet.set(), Err(NoPin::Absent), None).status, StatusCode::OK);
    }
}
