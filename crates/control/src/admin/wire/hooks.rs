//! Hooks as the API shows them: what is owed to them, and how the latest calls ended. URLs without their paths, which may be secret.

use cutover_core::hook::{Asked, Ended, Hooks, Leave};
use serde::Serialize;
use utoipa::ToSchema;

use super::time;

/// What is known of the hooks of a service.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Hooks")]
pub struct HooksView {
    /// What the `pre_flip` hooks were asked last; `null` after a switch.
    pub pre_flip: Option<AskedView>,
    /// Calls that are not delivered yet.
    pub owed: usize,
    /// How the latest calls ended, the latest first.
    pub recent: Vec<EndedView>,
}

/// What the `pre_flip` hooks were asked.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Asked")]
pub struct AskedView {
    /// The version that is to become active.
    #[schema(example = "v2")]
    pub version: String,
    /// `asked`, `passed` or `failed`.
    #[schema(example = "failed")]
    pub state: &'static str,
    /// Why it must not become active; empty unless it failed.
    pub detail: String,
    /// When they were asked, or had answered.
    #[schema(format = DateTime)]
    pub at: String,
}

/// How a call of a hook ended.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "HookCall")]
pub struct EndedView {
    /// The turn that it told of.
    #[schema(example = "post_flip")]
    pub on: &'static str,
    /// The version that it is about.
    #[schema(example = "v2")]
    pub version: String,
    /// The epoch.
    pub epoch: u64,
    /// When the turn was.
    #[schema(format = DateTime)]
    pub at: String,
    /// Who was told.
    #[schema(example = "https://ci.example.com")]
    pub to: String,
    /// Whether it was taken.
    pub delivered: bool,
    /// The last status; `null` without an answer.
    pub status: Option<u16>,
    /// How often it was tried.
    pub tries: u32,
    /// How long that took.
    #[schema(example = "120ms")]
    pub took: String,
    /// What was answered last, or why nothing was.
    pub said: String,
}

impl HooksView {
    /// The hooks as text.
    #[must_use]
    pub fn new(hooks: &Hooks) -> Self {
        Self {
            pre_flip: hooks.asked.as_ref().map(AskedView::new),
            owed: hooks.owed.len(),
            recent: hooks.recent.iter().rev().map(|ended| EndedView::new(ended)).collect(),
        }
    }
}

impl AskedView {
    fn new(asked: &Asked) -> Self {
        let (state, detail) = match &asked.answer {
            Leave::Awaited => ("asked", ""),
            Leave::Given => ("passed", ""),
            Leave::Refused(why) => ("failed", why.as_str()),
        };
        Self { version: asked.to.to_string(), state, detail: detail.to_owned(), at: time::write(asked.at) }
    }
}

impl EndedView {
    fn new(ended: &Ended) -> Self {
        Self {
            on: ended.turn.on.as_str(),
            version: ended.turn.version.to_string(),
            epoch: ended.turn.epoch.0,
            at: time::write(ended.turn.at),
            to: ended.origin.clone(),
            delivered: ended.is_delivered,
            status: ended.status,
            tries: ended.tries,
            took: ended.took.to_string(),
            said: ended.said.clone(),
        }
    }
}
