//! Previews as the API takes and hands them out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Makes a preview of a version.
#[derive(Debug, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PreviewBody {
    /// The version.
    #[schema(example = "v2")]
    pub version: String,
    /// How long it lasts, `"10s"` to `"7d"`; `1h` when it is not given.
    #[schema(example = "1h")]
    pub ttl: Option<String>,
    /// Scheme and authority under which people reach the service, where those do not follow from its hosts and the listeners: behind
    /// another proxy, or with hosts that are all patterns.
    #[schema(example = "https://example.com")]
    pub origin: Option<String>,
    /// What it is for; kept in the timeline.
    pub reason: Option<String>,
}

/// A preview. Whoever has any of its forms is served by the version until it ends: they are secrets.
#[derive(Debug, Serialize, ToSchema)]
pub struct PreviewMade {
    /// For browsers: leaves the cookie and leads to the service. `null` when all hosts of the service are patterns and no `origin` was
    /// given; then `?cutover-preview=` with the token is put behind any address of it.
    #[schema(example = "https://example.com/?cutover-preview=TOKEN")]
    pub url: Option<String>,
    /// For programs that set cookies: name and value with attributes, as in `Set-Cookie`.
    #[schema(example = "__Host-cutover-preview=TOKEN; Path=/; HttpOnly; SameSite=Lax; Max-Age=3600; Secure")]
    pub cookie: String,
    /// For tests: a whole header line, `Name: value`, as `curl --header` takes it.
    #[schema(example = "Cutover-Preview: TOKEN")]
    pub header: String,
    /// When it ends.
    #[schema(format = DateTime)]
    pub expires_at: String,
}
