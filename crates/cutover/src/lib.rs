//! The parts of the cutover binary: arguments, configuration, wiring, and the command-line client.

mod args;
pub mod config;
mod ctl;
pub mod demo;
pub mod run;
mod serve;
mod signals;
mod telemetry;
mod token;
