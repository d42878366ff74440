//! A proxy's processes: started on one core, measured, and ended.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::error::{Doing as _, Error};
use crate::machine::Cores;

const ENDS_WITHIN: Duration = Duration::from_secs(10);

/// A running proxy, with the processes that it started. Ends with this value.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// Starts `command` on the proxy's core; what it prints goes to `log`.
    pub(crate) fn start(mut command: Command, cores: Cores, log: &Path) -> Result<Self, Error> {
        let program = command.get_program().to_string_lossy().into_owned();
        let output = File::create(log).doing(format!("creating {}", log.display()))?;
        let errors = output.try_clone().doing("sharing a log")?;
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let child = cores.on_proxys(|| command.spawn())?.doing(format!("starting {program}"))?;
        Ok(Self { child })
    }

    /// Keeps the proxy's core from halting, for as long as it runs itself: a loop for when nothing else wants to run (`SCHED_IDLE`, sched(7)).
    pub(crate) fn keep_awake(cores: Cores) -> Result<Self, Error> {
        let mut command = Command::new("chrt");
        command.args(["--idle", "0", "sh", "-c", "while :; do :; done"]);
        Self::start(command, cores, Path::new("/dev/null"))
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// CPU time of all threads of all its processes, user and system.
    pub(crate) fn cpu(&self) -> Result<Duration, Error> {
        let mut nanoseconds = 0;
        for pid in self.family() {
            // A process or thread that ends between two looks takes its time with it: those of a proxy don't in a run.
            for thread in
                fs::read_dir(format!("/proc/{pid}/task")).doing("listing a proxy's threads")?.flatten()
            {
                let schedstat =
                    fs::read_to_string(thread.path().join("schedstat")).doing("reading schedstat")?;
                nanoseconds +=
                    schedstat.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0_u64);
            }
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// Memory of all its processes in bytes; a page that they share is counted once.
    pub(crate) fn memory(&self) -> Result<u64, Error> {
        let mut kibibytes = 0;
        for pid in self.family() {
            let rollup =
                fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).doing("reading smaps_rollup")?;
            let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap_or_default();
            kibibytes += pss.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0_u64);
        }
        Ok(kibibytes << 10)
    }

    /// Asks it to end and waits until it has.
    pub(crate) fn end(mut self) -> Result<(), Error> {
        self.signal(Signal::TERM);
        self.wait()
    }

    fn wait(&mut self) -> Result<(), Error> {
        let start = Instant::now();
        while !self.has_ended() {
            if start.elapsed() > ENDS_WITHIN {
                return Err(Error::TooLong("the end of a proxy".to_owned()));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn signal(&mut self, signal: Signal) {
        // Not after it has been waited for: the number may be another's by then.
        if !self.has_ended()
            && let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
        {
            let _ = kill_process(pid, signal);
        }
    }

    /// The process and all that descend from it.
    fn family(&self) -> BTreeSet<u32> {
        let mut family = BTreeSet::from([self.child.id()]);
        let mut pending = vec![self.child.id()];
        while let Some(pid) = pending.pop() {
            let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { continue };
            for thread in threads.flatten() {
                let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
                let children = children.split_whitespace().filter_map(|word| word.parse().ok());
                pending.extend(children.filter(|child| family.insert(*child)));
            }
        }
        family
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::TERM);
        if self.wait().is_err() {
            for pid in self.family() {
                if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
                    let _ = kill_process(pid, Signal::KILL);
                }
            }
            let _ = self.child.wait();
        }
    }
}
