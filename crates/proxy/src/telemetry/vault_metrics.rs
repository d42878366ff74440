//! Metrics of the asset vaults, read when they are scraped.

use std::sync::Arc;

use cutover_vault::{Rejected, Stats, Vaults};
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};

/// What the vaults of all services hold, and what happened to them.
struct VaultMetrics {
    vaults: Arc<Vaults>,
    /// Without a series: they say what there is.
    empty: Series,
}

struct Series {
    bytes: IntGaugeVec,
    entries: IntGaugeVec,
    stored: IntCounterVec,
    evictions: IntCounterVec,
    rejected: IntCounterVec,
    corrupt: IntCounterVec,
}

/// Adds the metrics of `vaults` to `registry`.
///
/// # Errors
/// The registry has metrics of these names already.
pub fn register(registry: &Registry, vaults: &Arc<Vaults>) -> prometheus::Result<()> {
    registry.register(Box::new(VaultMetrics { vaults: Arc::clone(vaults), empty: Series::new()? }))
}

impl Collector for VaultMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.empty.collectors().into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        // Anew each time, so that services that are gone leave nothing behind and two scrapes don't mix.
        let Ok(series) = Series::new() else { return Vec::new() };
        for (service, stats) in self.vaults.stats() {
            series.set(&service, &stats);
        }
        series.collectors().into_iter().flat_map(Collector::collect).collect()
    }
}

impl Series {
    fn new() -> prometheus::Result<Self> {
        let of_service = ["service"];
        let counter = |name, help, labels: &[&str]| IntCounterVec::new(Opts::new(name, help), labels);
        let bytes = Opts::new("cutover_vault_bytes", "Bytes on disk that kept assets take up");
        let entries = Opts::new("cutover_vault_entries", "Assets that are kept");
        Ok(Self {
            bytes: IntGaugeVec::new(bytes, &of_service)?,
            entries: IntGaugeVec::new(entries, &of_service)?,
            stored: counter("cutover_vault_stored_total", "Assets that were written", &of_service)?,
            evictions: counter(
                "cutover_vault_evictions_total",
                "Assets that had to make room for others",
                &of_service,
            )?,
            rejected: counter(
                "cutover_vault_rejected_total",
                "Assets that were not stored although they could have been, by why",
                &["service", "reason"],
            )?,
            corrupt: counter(
                "cutover_vault_corrupt_total",
                "Files that were not what was written, and were dropped",
                &of_service,
            )?,
        })
    }

    fn set(&self, service: &str, stats: &Stats) {
        let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.bytes.with_label_values(&[service]).set(gauge(stats.bytes));
        self.entries.with_label_values(&[service]).set(gauge(stats.entries));
        self.stored.with_label_values(&[service]).inc_by(stats.stored);
        self.evictions.with_label_values(&[service]).inc_by(stats.evicted);
        self.corrupt.with_label_values(&[service]).inc_by(stats.corrupt);
        for why in Rejected::ALL {
            let counter = self.rejected.with_label_values(&[service, why.as_str()]);
            counter.inc_by(stats.rejected[why as usize]);
        }
    }

    fn collectors(&self) -> [&dyn Collector; 6] {
        [&self.bytes, &self.entries, &self.stored, &self.evictions, &self.rejected, &self.corrupt]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vault_is_scraped_under_the_name_of_its_service() {
        let dir = tempfile::TempDir::new().unwrap();
        let vaults = Arc::new(Vaults::start(dir.path().to_owned()).unwrap());
        let registry = Registry::new();
        register(&registry, &vaults).unwrap();
        assert!(registry.gather().is_empty());
        vaults.of("web", 1 << 20).unwrap().reject(Rejected::Busy);
        let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        for line in [
            r#"cutover_vault_bytes{service="web"} 0"#,
            r#"cutover_vault_rejected_total{reason="busy",service="web"} 1"#,
            r#"cutover_vault_corrupt_total{service="web"} 0"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
        assert!(register(&registry, &vaults).is_err());
    }
}
