//! The leash of a child process: when its standard input ends, the parent is gone and the child stops too.
//!
//! The parent keeps the other end of the pipe open and never writes to it. The kernel closes it however the parent ends,
//! `kill -9` included, which no handler in the parent could see to.

use std::{
    io::{self, Read as _},
    thread,
    time::Duration,
};

use rustix::process::{Signal, getpid, kill_process};

/// Time from the SIGTERM that the leash sends to the end of the process, whatever it is doing.
const GRACE: Duration = Duration::from_secs(5);

/// Watches standard input on a thread of its own; at its end this process gets SIGTERM, and ends for good 5 s later.
pub fn hold() -> io::Result<()> {
    thread::Builder::new().name("leash".into()).spawn(|| {
        let mut input = io::stdin().lock();
        let mut ignored = [0; 64];
        while matches!(input.read(&mut ignored), Ok(count) if count > 0) {}
        // It can only fail if this process doesn't exist.
        let _ = kill_process(getpid(), Signal::TERM);
        thread::sleep(GRACE);
        std::process::exit(1);
    })?;
    Ok(())
}
