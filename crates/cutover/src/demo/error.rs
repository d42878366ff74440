//! Why the demo could not be played to its end.

use std::{io, process::ExitStatus, time::Duration};

use hyper::StatusCode;

use super::http;

/// Why the demo could not be played to its end. What the visitors met is no error but a result: see the report.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file, a process, a socket or a signal could not be had.
    #[error("can't {what}")]
    System {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// A bounded wait ran out.
    #[error("waited {limit:?} in vain until {what}")]
    Late {
        /// What was waited for.
        what: String,
        /// For how long.
        limit: Duration,
    },
    /// A child process ended although nobody told it to, or not as it should.
    #[error("{name} ended with {status}")]
    Ended {
        /// Which one.
        name: String,
        /// How.
        status: ExitStatus,
    },
    /// A child process said something else than the line that tells its address.
    #[error("{name} started with `{line}`")]
    Babble {
        /// Which one.
        name: String,
        /// What it said.
        line: String,
    },
    /// The admin API could not be reached, or broke off.
    #[error("{call} failed")]
    Call {
        /// Method and path.
        call: String,
        /// What happened on the connection.
        source: http::Error,
    },
    /// The admin API refused.
    #[error("{call} was refused with {status}: {detail}")]
    Refused {
        /// Method and path.
        call: String,
        /// The status.
        status: StatusCode,
        /// The problem's detail and reasons.
        detail: String,
    },
    /// The admin API's answer lacks a field.
    #[error("{call} answered without {field}")]
    Incomplete {
        /// Method and path.
        call: String,
        /// The field, as a JSON pointer.
        field: &'static str,
    },
    /// A task of the demo itself panicked.
    #[error("a task of the demo broke off")]
    Task(#[from] tokio::task::JoinError),
}

impl Error {
    /// For `map_err` on what the system refuses.
    pub(super) fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { what: what.into(), source }
    }
}
