//! An upgrade of the proxy itself, as the API shows it.

use serde::Serialize;
use utoipa::ToSchema;

/// The process that serves now.
#[derive(Debug, Serialize, ToSchema)]
pub struct Upgraded {
    /// Its id.
    pub pid: u32,
    /// The release of cutover that it runs.
    #[schema(example = "0.2.0")]
    pub version: String,
    /// The process that it replaced. It finishes its requests and tunnels, then ends.
    pub replaced_pid: u32,
}
