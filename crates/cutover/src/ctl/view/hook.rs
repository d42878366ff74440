//! What the client reads about hooks.

use serde::Deserialize;

/// What the hooks of a service were asked and told.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Hooks {
    /// What the `pre_flip` hooks were asked last.
    pub(crate) pre_flip: Option<Asked>,
    /// Calls that are not delivered yet.
    #[serde(default)]
    pub(crate) owed: u64,
    /// How the latest calls ended, the latest first.
    #[serde(default)]
    pub(crate) recent: Vec<Call>,
}

/// What the `pre_flip` hooks were asked.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Asked {
    pub(crate) version: String,
    /// `asked`, `passed` or `failed`.
    pub(crate) state: String,
    #[serde(default)]
    pub(crate) detail: String,
}

/// How a call ended.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Call {
    pub(crate) on: String,
    pub(crate) version: String,
    pub(crate) at: String,
    /// Scheme, host and port.
    pub(crate) to: String,
    pub(crate) delivered: bool,
    #[serde(default)]
    pub(crate) tries: u64,
    #[serde(default)]
    pub(crate) said: String,
}

/// The policy of a service, as far as it is about hooks.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Told {
    #[serde(default)]
    pub(crate) hook: Vec<Hook>,
}

/// One hook.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Hook {
    pub(crate) on: String,
    pub(crate) url: String,
}
