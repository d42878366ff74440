//! `cutover agent -- COMMAND`: runs an app server beside cutover. It registers the app and keeps its lease, restarts it on SIGHUP when
//! cutover permits it, drains it before it stops, and never leaves it behind.
//!
//! It is no supervisor: when the app ends, so does the agent, with the app's exit code. `life` is the order of things.

mod app;
mod args;
mod backend;
mod backoff;
pub(crate) mod guard;
pub(crate) mod launch;
mod lease;
mod life;
mod permit;
mod registration;
mod signals;
mod version;

use std::process::ExitCode;

pub(crate) use args::{Launch, Options};

use crate::ctl::Exit;
use crate::run::fail;
use crate::telemetry;

/// Runs the app until it ends. The exit code is the app's, or that of a failed command if the app could not be started.
pub(crate) async fn run(options: Options, json: bool) -> ExitCode {
    if let Err(error) = telemetry::start(&options.log, json) {
        fail(&error);
        return Exit::Usage.into();
    }
    match life::Agent::start(options).await {
        Ok(agent) => agent.live().await.into(),
        Err(error) => fail(&error).into(),
    }
}
