//! The state of a node, as the API shows it.

use serde::Serialize;
use utoipa::ToSchema;

/// One node.
#[derive(Debug, Serialize, ToSchema)]
pub struct Status {
    /// Its name.
    #[schema(example = "lb-1")]
    pub node: String,
    /// The release of cutover that it runs.
    #[schema(example = "0.1.0")]
    pub version: &'static str,
    /// Its process.
    pub pid: u32,
    /// The process that it replaced, while that one finishes what it began.
    pub predecessor_pid: Option<u32>,
    /// When it started.
    #[schema(format = DateTime)]
    pub started_at: String,
    /// How long ago that is.
    #[schema(example = "2h")]
    pub uptime: String,
    /// Whether it serves.
    pub ready: bool,
    /// The last committed revision.
    pub revision: u64,
    /// Where the state is kept.
    pub store: StoreView,
    /// Who asks.
    pub caller: CallerView,
    /// The nodes that share the state; this one alone without a fleet.
    pub members: Vec<Member>,
}

/// Whoever asks, and what they may do.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Caller")]
pub struct CallerView {
    /// The name of their token, the subject of their certificate, or `local`; the actor in the timeline.
    #[schema(example = "deploy")]
    pub name: String,
    /// `read`, `register`, `operate` or `admin`; each includes those before it.
    #[schema(example = "operate")]
    pub role: &'static str,
    /// The services that they register for; only with the role `register`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub services: Option<Vec<String>>,
}

/// Where the state is kept.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Store")]
pub struct StoreView {
    /// `embedded` or `memory`.
    #[schema(example = "embedded")]
    pub kind: &'static str,
}

/// One node of a fleet.
#[derive(Debug, Serialize, ToSchema)]
pub struct Member {
    /// Its name.
    pub node: String,
    /// The revision that it serves.
    pub revision: u64,
}
