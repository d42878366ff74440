//! Pins, as they are written.

use cutover_core::policy::{self, PinPolicy};
use cutover_core::time::Millis;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::check::{header_name, is_token};
use crate::document::Check;

/// What previews come by; a pin of that name would be taken for one.
const PREVIEW_COOKIE: &str = "cutover-preview";
/// A pin counts in whole seconds.
const PIN_LIFE_MIN: Millis = Millis::from_secs(1);

/// Pins: what ties a session to its version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PinSpec {
    /// Whether sessions are pinned.
    pub policy: PinMode,
    /// Name of the cookie; over TLS it is prefixed with `__Host-`.
    #[schemars(length(min = 1))]
    pub cookie: String,
    /// `SameSite` of the cookie.
    pub same_site: SameSite,
    /// Whether the cookie is `Partitioned`, for embedded frames; needs `same_site = "None"`.
    pub partitioned: bool,
    /// `Max-Age` of the cookie; `"0s"` = a session cookie.
    pub max_life: String,
    /// A pin that is not used for so long ends.
    pub idle: String,
    /// A pin ends after so long, used or not.
    pub life: String,
    /// Whether the app sees the cookie.
    pub forward: bool,
    /// Query parameters that name a version.
    #[schemars(example = ["dpl"])]
    pub query: Vec<String>,
    /// Request headers that name a version, besides `X-Cutover-Version`.
    #[schemars(example = ["x-deployment-id"])]
    pub headers: Vec<String>,
}

/// Whether sessions are pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PinMode {
    /// A session stays on its version.
    Session,
    /// A page stays on its version with everything that it loads; the next navigation moves.
    Page,
    /// Every request is decided on its own.
    None,
}

/// `SameSite` of the pin cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
pub enum SameSite {
    /// Not sent with any request from another site.
    Strict,
    /// Sent with top-level navigations from another site.
    Lax,
    /// Sent always; browsers ask for TLS.
    None,
}

pub(super) fn pin(pin: &PinSpec, check: &mut Check<'_>) -> PinPolicy {
    if !is_token(&pin.cookie) || pin.cookie.len() > 64 {
        check.wrong(
            "cookie",
            format_args!("{:?} is no cookie name; write up to 64 letters, digits, '-' or '_'", pin.cookie),
        );
    } else if pin.cookie.starts_with("__") {
        check.wrong(
            "cookie",
            format_args!("{:?} has a prefix; leave it out, over TLS it is added", pin.cookie),
        );
    } else if pin.cookie == PREVIEW_COOKIE {
        check.wrong(
            "cookie",
            format_args!("{PREVIEW_COOKIE:?} is the cookie of previews; choose another name"),
        );
    }
    if pin.partitioned && pin.same_site != SameSite::None && check.are_clean(&["same_site"]) {
        check.wrong("partitioned", "needs same_site = \"None\"");
    }
    let (idle, life) = (
        check.duration_from("idle", &pin.idle, PIN_LIFE_MIN),
        check.duration_from("life", &pin.life, PIN_LIFE_MIN),
    );
    if idle > life && check.are_clean(&["idle", "life"]) {
        check.wrong("idle", format_args!("is \"{idle}\"; must not be longer than `life`, \"{life}\""));
    }
    PinPolicy {
        mode: match pin.policy {
            PinMode::Session => policy::PinMode::Session,
            PinMode::Page => policy::PinMode::Page,
            PinMode::None => policy::PinMode::None,
        },
        cookie: pin.cookie.clone(),
        same_site: match pin.same_site {
            SameSite::Strict => policy::SameSite::Strict,
            SameSite::Lax => policy::SameSite::Lax,
            SameSite::None => policy::SameSite::None,
        },
        partitioned: pin.partitioned,
        max_life: check.duration("max_life", &pin.max_life),
        idle,
        life,
        forward: pin.forward,
        query: check.list("query", &pin.query, |name| match is_query_name(name) {
            true => Ok(name.to_owned()),
            false => Err(format!("{name:?} is no parameter name; write one such as \"dpl\"")),
        }),
        headers: check.list("headers", &pin.headers, header_name),
    }
}

impl From<&PinPolicy> for PinSpec {
    fn from(pin: &PinPolicy) -> Self {
        Self {
            policy: match pin.mode {
                policy::PinMode::Session => PinMode::Session,
                policy::PinMode::Page => PinMode::Page,
                policy::PinMode::None => PinMode::None,
            },
            cookie: pin.cookie.clone(),
            same_site: match pin.same_site {
                policy::SameSite::Strict => SameSite::Strict,
                policy::SameSite::Lax => SameSite::Lax,
                policy::SameSite::None => SameSite::None,
            },
            partitioned: pin.partitioned,
            max_life: pin.max_life.to_string(),
            idle: pin.idle.to_string(),
            life: pin.life.to_string(),
            forward: pin.forward,
            query: pin.query.clone(),
            headers: pin.headers.clone(),
        }
    }
}

/// A query parameter that needs no percent-encoding, so that it is found by comparing bytes.
fn is_query_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~'))
}
