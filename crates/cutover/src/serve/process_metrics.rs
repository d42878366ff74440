//! Metrics of the process itself, under the names that Prometheus' own clients use for them, and of which build it is.

use std::fs;
use std::time::SystemTime;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Gauge, IntGauge, IntGaugeVec, Opts, Registry};
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

/// Reads what the kernel knows of this process when somebody asks.
struct ProcessMetrics {
    cpu: Counter,
    resident: IntGauge,
    open_files: IntGauge,
    max_files: IntGauge,
    threads: IntGauge,
    started: Gauge,
}

/// Adds the metrics of this process to `registry`.
///
/// # Errors
/// There are metrics of these names already.
pub(super) fn register(registry: &Registry) -> prometheus::Result<()> {
    let build = Opts::new("cutover_build_info", "1, with the release of cutover that runs as a label");
    let build = IntGaugeVec::new(build, &["version"])?;
    build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    registry.register(Box::new(build))?;
    let started = Gauge::new("process_start_time_seconds", "When the process began, in seconds since 1970")?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    started.set(now.as_secs_f64());
    registry.register(Box::new(ProcessMetrics {
        cpu: Counter::new("process_cpu_seconds_total", "CPU time that the process took, user and system")?,
        resident: IntGauge::new("process_resident_memory_bytes", "Memory of the process that is in RAM")?,
        open_files: IntGauge::new("process_open_fds", "File descriptors that are open")?,
        max_files: IntGauge::new("process_max_fds", "File descriptors that may be open")?,
        threads: IntGauge::new("process_threads", "Threads of the process")?,
        started,
    }))
}

impl Collector for ProcessMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.all().into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.read();
        self.all().into_iter().flat_map(Collector::collect).collect()
    }
}

impl ProcessMetrics {
    /// What can't be read stays as it was.
    fn read(&self) {
        let used = clock_gettime(ClockId::ProcessCPUTime);
        #[expect(clippy::cast_precision_loss, reason = "seconds of CPU time are far below 2^52")]
        let used = used.tv_sec as f64 + used.tv_nsec as f64 / 1e9;
        // A counter can't be set. Two scrapes at once may both add the difference, which the next ones then wait out.
        self.cpu.inc_by((used - self.cpu.get()).max(0.0));
        if let Ok(status) = fs::read_to_string("/proc/self/status") {
            if let Some(kilobytes) = field(&status, "VmRSS:") {
                self.resident.set(kilobytes.saturating_mul(1024));
            }
            if let Some(threads) = field(&status, "Threads:") {
                self.threads.set(threads);
            }
        }
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            // Without the one that the listing itself is read from.
            self.open_files.set(i64::try_from(open.count().saturating_sub(1)).unwrap_or(i64::MAX));
        }
        let max = getrlimit(Resource::Nofile).current;
        self.max_files.set(max.map_or(i64::MAX, |max| i64::try_from(max).unwrap_or(i64::MAX)));
    }

    fn all(&self) -> [&dyn Collector; 6] {
        [&self.cpu, &self.resident, &self.open_files, &self.max_files, &self.threads, &self.started]
    }
}

/// The number of a line of `/proc/self/status`.
fn field(status: &str, name: &str) -> Option<i64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_that_asks_is_the_one_that_is_told_of() {
        let registry = Registry::new();
        register(&registry).unwrap();
        let held: Vec<_> = (0..20).map(|_| fs::File::open("/proc/self/status").unwrap()).collect();
        let families = registry.gather();
        let value = |name: &str| {
            let family = families.iter().find(|family| family.name() == name).unwrap();
            let metric = &family.get_metric()[0];
            metric.get_gauge().get_value() + metric.get_counter().get_value()
        };

        assert!(value("process_open_fds") >= 20.0 && value("process_max_fds") > value("process_open_fds"));
        assert!(value("process_resident_memory_bytes") > 1e6 && value("process_threads") >= 1.0);
        assert!(value("process_cpu_seconds_total") > 0.0 && value("process_start_time_seconds") > 1.7e9);
        drop(held);
    }
}
