//! How often the judge is wrong and how fast it is right, over hundreds of simulated deployments under bursty noise and a clock that
//! costs no time. What docs/judging.md says of it is measured here: `cargo nextest run -p cutover-core --test judge --no-capture`.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a simulation that can't go on has failed, its numbers are small, and what it measured is shown"
)]

mod app;
mod canary;
mod errors;
mod latency;
mod limits;
mod trial;
