//! Why a command did not succeed, and the exit code that says so.

use std::fmt;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::target::Target;

/// How a command ended, for scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Done,
    /// Refused, or failed.
    Failed,
    /// Called in a way that makes no sense.
    Usage,
    /// The server can't be reached.
    Unreachable,
    /// What was waited for did not happen in time.
    TimedOut,
    /// As the command that was run did.
    Of(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Unreachable => 3,
            Exit::TimedOut => 4,
            Exit::Of(code) => code,
        })
    }
}

/// Why a command did not succeed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// No connection, or one that broke.
    #[error("can't reach cutover at {target}")]
    Unreachable {
        /// Where it should be.
        target: Target,
        /// Why not.
        source: io::Error,
    },
    /// The server answered that it will not.
    #[error("{0}")]
    Refused(Problem),
    /// The answer is none of the admin API.
    #[error("{target} does not answer like an admin API: {detail}")]
    Foreign {
        /// Who answered.
        target: Target,
        /// What is wrong with the answer.
        detail: String,
    },
    /// What was waited for did not happen in time.
    #[error("{what} after {limit:?}")]
    TimedOut {
        /// What is still not so.
        what: String,
        /// For how long.
        limit: Duration,
    },
    /// A file, or the output.
    #[error("can't {what}")]
    Io {
        /// What was attempted.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// An argument that makes no sense.
    #[error("{0}")]
    Usage(String),
    /// What is so forbids it.
    #[error("{0}")]
    State(String),
    /// A signal ended the wait.
    #[error("interrupted by {0}")]
    Interrupted(&'static str),
}

impl Error {
    /// The exit code for it.
    #[must_use]
    pub(crate) const fn exit(&self) -> Exit {
        match self {
            Self::Unreachable { .. } => Exit::Unreachable,
            Self::Refused(_)
            | Self::Foreign { .. }
            | Self::Io { .. }
            | Self::State(_)
            | Self::Interrupted(_) => Exit::Failed,
            Self::TimedOut { .. } => Exit::TimedOut,
            Self::Usage(_) => Exit::Usage,
        }
    }

    /// Whether the server says that there is no such thing.
    #[must_use]
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused(problem) if problem.status == 404)
    }

    /// Whether the same call may succeed when the server is back.
    #[must_use]
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused(problem) => problem.status == 503,
            _ => false,
        }
    }

    /// The error as an object, for `--json`.
    #[must_use]
    pub(crate) fn to_json(&self) -> Value {
        match self {
            Self::Refused(problem) => problem.document.clone(),
            _ => {
                let causes = std::iter::successors(std::error::Error::source(self), |error| error.source());
                let detail = causes.fold(self.to_string(), |text, cause| format!("{text}: {cause}"));
                serde_json::json!({ "title": "failed", "detail": detail })
            }
        }
    }
}

/// A refusal of the admin API (RFC 9457), with all its reasons.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Problem {
    /// HTTP status.
    pub(crate) status: u16,
    /// What it is about, in general.
    pub(crate) title: String,
    /// What it is about, here.
    pub(crate) detail: Option<String>,
    /// Everything that stands in the way.
    pub(crate) reasons: Vec<Reason>,
    /// The answer itself.
    pub(crate) document: Value,
}

/// One thing that stands in the way.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Reason {
    /// A word for programs.
    #[serde(default)]
    pub(crate) code: String,
    /// A sentence for people.
    #[serde(default)]
    pub(crate) detail: String,
}

impl Problem {
    /// Reads the body of an answer with `status`; anything that is no problem document counts as its own detail.
    #[must_use]
    pub(crate) fn read(status: u16, body: &[u8]) -> Self {
        let document: Value = serde_json::from_slice(body).unwrap_or_else(|_| {
            let text = String::from_utf8_lossy(&body[..body.len().min(1000)]).trim().to_owned();
            serde_json::json!({ "title": format!("status {status}"), "status": status, "detail": text })
        });
        let text = |key: &str| document[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let reasons = document["reasons"].as_array().into_iter().flatten();
        Self {
            status,
            title: text("title").unwrap_or_else(|| format!("status {status}")),
            detail: text("detail"),
            reasons: reasons.filter_map(|reason| Reason::deserialize(reason).ok()).collect(),
            document,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let summary = self.detail.as_ref().unwrap_or(&self.title);
        match self.reasons.as_slice() {
            // The only reason is the summary too.
            [Reason { code, detail }] if detail == summary => write!(f, "{detail} ({code})")?,
            reasons => {
                f.write_str(summary)?;
                for Reason { code, detail } in reasons {
                    write!(f, "\n  - {detail} ({code})")?;
                }
            }
        }
        let is_wrong_token = self.reasons.iter().any(|reason| reason.code == "wrong_tokens");
        if self.status == 401 || is_wrong_token {
            f.write_str("\n  set CUTOVER_TOKEN to a token that the configuration lists")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_with_every_reason() {
        let body = br#"{"title":"refused","status":409,"detail":"v2 can't be flipped to","reasons":
            [{"code":"quorum_count","detail":"1 of 2 backends"},{"code":"gate_closed","detail":"expand is closed"}]}"#;
        let problem = Problem::read(409, body);
        assert_eq!(
            problem.to_string(),
            "v2 can't be flipped to\n  - 1 of 2 backends (quorum_count)\n  - expand is closed (gate_closed)"
        );
        assert_eq!(Error::Refused(problem).exit(), Exit::Failed);
    }

    #[test]
    fn an_answer_that_is_no_problem_document_is_told_as_it_is() {
        assert_eq!(Problem::read(502, b"Bad Gateway\n").to_string(), "Bad Gateway");
        assert_eq!(Problem::read(500, b"").to_string(), "status 500");
        assert_eq!(Problem::read(409, br#"{"reasons":[1,{"code":"x"}]}"#).reasons.len(), 1);
    }
}
