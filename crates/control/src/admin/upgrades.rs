//! The upgrade of the proxy itself, on demand.

use axum::extract::State;
use http::StatusCode;
use tokio::sync::{mpsc, oneshot};

use super::answer::{Answer, Answered};
use super::api::Api;
use super::call::Call;
use super::problem::Problem;
use super::wire::upgrade::Upgraded;

/// Asks for an upgrade. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Upgrades(mpsc::Sender<Ask>);

/// Somebody wants an upgrade, and this is where they wait.
pub type Ask = oneshot::Sender<Result<Successor, UpgradeError>>;

/// The process that has taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Successor {
    /// Its id.
    pub pid: u32,
    /// Its release.
    pub version: String,
}

/// Why there was no upgrade. This process goes on as before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpgradeError {
    /// Another one has not ended yet.
    #[error("an upgrade is under way")]
    UnderWay,
    /// The new process could not take over.
    #[error("{0}")]
    Failed(String),
}

impl Upgrades {
    /// Where asking leads to. Whoever asks while another one waits for its turn is refused.
    #[must_use]
    pub fn channel() -> (Self, mpsc::Receiver<Ask>) {
        let (asks, asked) = mpsc::channel(1);
        (Self(asks), asked)
    }

    async fn ask(&self) -> Result<Successor, UpgradeError> {
        let (ask, answer) = oneshot::channel();
        self.0.try_send(ask).map_err(|_| UpgradeError::UnderWay)?;
        let stopped = || UpgradeError::Failed("this process is stopping".to_owned());
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }
}

/// Starts the program anew, from the path with which this process was started, and lets the new process take over: every listening
/// socket, the state, and what is known about backends. This process finishes what it began and ends. It answers when the new one
/// serves. If that fails, everything stays as it was, and the answer says why.
#[utoipa::path(post, path = "/v1/upgrade", tag = "node", operation_id = "upgrade",
    responses((status = 200, description = "Another process serves now.", body = Upgraded)))]
pub(super) async fn upgrade(State(api): State<Api>, call: Call) -> Answered<Upgraded> {
    let Some(upgrades) = api.upgrades() else {
        let detail = "this process can't be replaced by another one";
        return Err(Problem::new(StatusCode::NOT_IMPLEMENTED, "no_upgrades", detail));
    };
    tracing::info!(actor = call.actor.name, "an upgrade was asked for");
    match upgrades.ask().await {
        Ok(Successor { pid, version }) => {
            let upgraded = Upgraded { pid, version, replaced_pid: std::process::id() };
            Ok(Answer::ok(api.control().current().revision, upgraded))
        }
        Err(error @ UpgradeError::UnderWay) => {
            Err(Problem::new(StatusCode::CONFLICT, "upgrade_under_way", error.to_string()))
        }
        Err(error @ UpgradeError::Failed(_)) => {
            Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "upgrade_failed", error.to_string()))
        }
    }
}
