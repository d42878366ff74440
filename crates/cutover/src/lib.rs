//! The parts of the cutover binary: arguments, configuration, wiring, and the command-line client.

mod account;
mod acme;
mod agent;
mod args;
pub mod config;
mod ctl;
pub mod demo;
mod deploy;
pub mod import;
mod job;
#[cfg(feature = "otlp")]
mod otlp;
mod roll;
pub mod run;
mod serve;
mod signals;
mod supervisor;
mod telemetry;
mod token;
mod upgrade;
