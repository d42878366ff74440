//! The parts of the cutover binary: arguments, configuration, wiring, and the command-line client.

pub mod config;
pub mod demo;
