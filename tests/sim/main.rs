//! A simulation of the control plane: the real controller and core over a store that fails, backends that restart and die, workers
//! that lag, operators who change their minds, and sessions that check what was promised. One seed is one history.
//!
//! `CUTOVER_SIM_SEED=n` replays one, `CUTOVER_SIM_SEEDS=n` sets how many are run.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a history that can't go on has failed, and its numbers are small"
)]

mod clients;
mod drive;
mod faults;
mod fleet;
mod history;
mod ledger;
mod node;

use std::sync::atomic::{AtomicU64, Ordering};

/// Histories in an ordinary run.
const SEEDS: u64 = 600;

#[test]
fn the_guarantees_hold_in_every_history() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    if let Some(seed) = number("CUTOVER_SIM_SEED") {
        println!("{:?}", history::run(seed));
        return;
    }
    let (seeds, next) = (number("CUTOVER_SIM_SEEDS").unwrap_or(SEEDS), AtomicU64::new(0));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let totals = std::thread::scope(|scope| {
        let work = || {
            let mut totals = history::Totals::default();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= seeds {
                    return totals;
                }
                let outcome = std::panic::catch_unwind(|| history::run(seed));
                totals += outcome.unwrap_or_else(|_| panic!("replay with CUTOVER_SIM_SEED={seed}"));
            }
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).fold(
            history::Totals::default(),
            |mut sum, totals| {
                sum += totals;
                sum
            },
        )
    });
    println!("{seeds} histories: {totals:?}");
    totals.assert_eventful();
}
