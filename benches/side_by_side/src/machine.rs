//! The machine under the run: which core does what, and how quiet it was.

use std::fs;
use std::hint::black_box;
use std::time::Instant;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde_json::{Value, json};

use crate::error::{Doing as _, Error};
use crate::figures::{median, spread};

/// Steps of the calibration loop: about 20 ms.
const CALIBRATION: u64 = 10_000_000;

/// Two cores: one for the proxy, one for its clients and the application.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cores {
    pub(crate) proxy: usize,
    pub(crate) traffic: usize,
}

/// Beyond this share of the cores for other programs, or this spread of the calibration loop, figures are no proof.
const QUIET: f64 = 0.05;

/// What else went on while figures were taken.
#[derive(Debug)]
pub(crate) struct Noise {
    own_before: u64,
    ticks_before: Ticks,
    load_before: String,
    calibrations_ms: Vec<f64>,
}

/// Time of all cores since the machine started, in ticks.
#[derive(Clone, Copy, Debug)]
struct Ticks {
    all: u64,
    idle: u64,
    stolen: u64,
}

impl Cores {
    /// Chooses among those this process may use, and moves this thread to the traffic's.
    pub(crate) fn choose() -> Result<Self, Error> {
        let allowed = sched_getaffinity(None).doing("asking for the cores")?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
        let (Some(proxy), Some(traffic)) = (cores.next(), cores.next()) else {
            return Err(Error::Unusable(
                "needs two cores: one for the proxy, one for its clients".to_owned(),
            ));
        };
        let cores = Self { proxy, traffic };
        move_to(traffic)?;
        Ok(cores)
    }

    /// Does `start` on the proxy's core, from which a process that it starts won't move away.
    pub(crate) fn on_proxys<T>(self, start: impl FnOnce() -> T) -> Result<T, Error> {
        move_to(self.proxy)?;
        let started = start();
        move_to(self.traffic)?;
        Ok(started)
    }
}

impl Noise {
    pub(crate) fn begin() -> Result<Self, Error> {
        Ok(Self {
            own_before: own_ticks()?,
            ticks_before: Ticks::read()?,
            load_before: load()?,
            calibrations_ms: Vec::new(),
        })
    }

    /// Times a loop that always does the same, on the proxy's core.
    pub(crate) fn calibrate(&mut self, cores: Cores) -> Result<(), Error> {
        let elapsed = cores.on_proxys(|| {
            let start = Instant::now();
            let mut state = 1_u64;
            for step in 0..CALIBRATION {
                state = black_box(state.rotate_left(5) ^ step).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            }
            black_box(state);
            start.elapsed()
        })?;
        self.calibrations_ms.push(elapsed.as_secs_f64() * 1e3);
        Ok(())
    }

    /// Everything that was seen, for the reader to judge the figures by.
    pub(crate) fn end(&self) -> Result<Value, Error> {
        let (before, now) = (self.ticks_before, Ticks::read()?);
        let all = share(now.all - before.all);
        let busy = (now.all - before.all) - (now.idle - before.idle);
        let foreign = share(busy.saturating_sub(own_ticks()? - self.own_before)) / all;
        let calibration_spread = spread(&self.calibrations_ms);
        Ok(json!({
            "quiet": foreign <= QUIET && calibration_spread <= QUIET,
            "calibration_ms": median(&self.calibrations_ms),
            "calibration_spread": calibration_spread,
            "foreign_share": foreign,
            "stolen_share": share(now.stolen - before.stolen) / all,
            "load_before": self.load_before,
            "load_after": load()?,
        }))
    }
}

impl Ticks {
    /// The first line of /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal (proc(5)).
    fn read() -> Result<Self, Error> {
        let stat = fs::read_to_string("/proc/stat").doing("reading /proc/stat")?;
        let first = stat.lines().next().unwrap_or_default();
        let ticks: Vec<u64> =
            first.split_whitespace().skip(1).take(8).filter_map(|word| word.parse().ok()).collect();
        let [_, _, _, idle, waiting, _, _, stolen] = ticks[..] else {
            return Err(Error::Unusable(format!("/proc/stat begins with {first:?}")));
        };
        Ok(Self { all: ticks.iter().sum(), idle: idle + waiting, stolen })
    }
}

/// CPU time of this process and of all that it has waited for, in ticks: fields 14 to 17 of /proc/self/stat (proc(5)).
fn own_ticks() -> Result<u64, Error> {
    let stat = fs::read_to_string("/proc/self/stat").doing("reading /proc/self/stat")?;
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    Ok(after_name.split_whitespace().skip(11).take(4).filter_map(|word| word.parse::<u64>().ok()).sum())
}

/// Processor, cores, kernel.
pub(crate) fn description() -> String {
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown");
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = processors.lines().filter(|line| line.starts_with("processor")).count();
    format!("{}, {cores} cores, Linux {}", model.trim_start_matches(['\t', ':', ' ']), kernel.trim())
}

fn move_to(core: usize) -> Result<(), Error> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).doing(format!("moving to core {core}"))
}

fn load() -> Result<String, Error> {
    let load = fs::read_to_string("/proc/loadavg").doing("reading /proc/loadavg")?;
    Ok(load.split_whitespace().take(3).collect::<Vec<_>>().join(" "))
}

#[expect(clippy::cast_precision_loss, reason = "ticks of a run are far below 2^53")]
fn share(ticks: u64) -> f64 {
    ticks as f64
}
