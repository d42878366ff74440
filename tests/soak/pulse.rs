//! The pulse of the machine: when it stands still, for this run or for everybody, nobody can tell whose fault a failure is.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::run::Run;

/// Between two beats.
const BEAT: Duration = Duration::from_millis(50);
/// A beat that is later than this has been missed.
const LATE: Duration = Duration::from_millis(400);

/// Listens until visitors leave, in a thread of its own: what else the program has to do does not count.
pub(crate) fn follow(run: &Arc<Run>) -> thread::JoinHandle<()> {
    let run = Arc::clone(run);
    thread::spawn(move || {
        while !run.is_closed() {
            let before = Instant::now();
            thread::sleep(BEAT);
            if before.elapsed() > BEAT + LATE {
                run.stood_still(before);
            }
        }
    })
}
