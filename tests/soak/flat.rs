//! Whether a curve is flat. Pure.
//!
//! A process is judged by the last two thirds of its life, if that is long enough: what it fills once, it has filled by
//! then. Its middle third is compared with its last one, by their medians, so that a moment of trouble in either decides
//! nothing. It may be larger at the end by what repeated runs of a program that keeps nothing differ by.

use std::time::Duration;

use super::curve::Sample;

/// A shorter life says nothing: an allocator keeps for minutes what a moment of trouble needed, ten MiB and more.
const LIFE_MIN: Duration = Duration::from_secs(900);
/// Growth of the memory that is let pass: this share of it and this much more.
const RSS_SHARE: f64 = 0.05;
const RSS_KIB: f64 = 2_048.0;
/// The same for descriptors. How many there are follows the load from second to second.
const DESCRIPTORS_SHARE: f64 = 0.1;
const DESCRIPTORS: f64 = 8.0;

/// The life of one process.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Life {
    pub(crate) pid: u32,
    pub(crate) from: Duration,
    pub(crate) to: Duration,
    /// Median of the memory in KiB in the middle third, and in the last one.
    pub(crate) rss_kib: (f64, f64),
    /// The same of the descriptors.
    pub(crate) descriptors: (f64, f64),
}

impl Life {
    /// Whether neither curve rises.
    pub(crate) fn is_flat(&self) -> bool {
        self.rss_kib.1 <= self.rss_kib.0 * (1.0 + RSS_SHARE) + RSS_KIB
            && self.descriptors.1 <= self.descriptors.0 * (1.0 + DESCRIPTORS_SHARE) + DESCRIPTORS
    }
}

/// Every life that is long enough to be judged, in order.
pub(crate) fn lives(samples: &[Sample]) -> Vec<Life> {
    samples.chunk_by(|one, next| one.pid == next.pid).filter_map(life).collect()
}

fn life(samples: &[Sample]) -> Option<Life> {
    let (first, last) = (samples.first()?, samples.last()?);
    let third = (last.at - first.at) / 3;
    if third * 3 < LIFE_MIN {
        return None;
    }
    let both = |value: fn(&Sample) -> u64| {
        let median = |from: Duration, to: Duration| {
            let part = samples.iter().filter(|sample| sample.at >= from && sample.at <= to);
            let mut values: Vec<u64> = part.map(value).collect();
            values.sort_unstable();
            values.get(values.len() / 2).map_or(0.0, |value| *value as f64)
        };
        let middle = first.at + third;
        (median(middle, middle + third), median(middle + third, last.at))
    };
    let (rss_kib, descriptors) = (both(|sample| sample.rss_kib), both(|sample| sample.descriptors));
    Some(Life { pid: first.pid, from: first.at, to: last.at, rss_kib, descriptors })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(seconds: u64, rss_kib: impl Fn(u64) -> u64, descriptors: impl Fn(u64) -> u64) -> Vec<Sample> {
        let sample = |second| Sample {
            at: Duration::from_secs(second),
            pid: 1,
            rss_kib: rss_kib(second),
            descriptors: descriptors(second),
        };
        (0..=seconds).map(sample).collect()
    }

    #[test]
    fn what_grows_at_first_and_stays_then_is_flat() {
        let life = lives(&samples(1200, |second| 20_000 + second.min(300) * 100, |second| 100 + second % 7));
        assert!(life.len() == 1 && life[0].is_flat(), "{life:?}");
    }

    #[test]
    fn a_leak_of_a_megabyte_a_minute_is_seen_in_twenty_minutes_and_one_of_descriptors_too() {
        let leak = lives(&samples(1200, |second| 20_000 + second * 17, |_| 100));
        assert!(!leak[0].is_flat(), "{leak:?}");
        let leak = lives(&samples(1200, |_| 20_000, |second| 100 + second / 12));
        assert!(!leak[0].is_flat(), "{leak:?}");
    }

    #[test]
    fn a_moment_of_much_decides_nothing_and_a_short_life_is_not_judged() {
        let peak = lives(&samples(1200, |second| if second > 1180 { 90_000 } else { 20_000 }, |_| 100));
        assert!(peak[0].is_flat(), "{peak:?}");
        assert_eq!(lives(&samples(800, |second| second * 1_000, |_| 100)), []);
    }

    #[test]
    fn another_process_begins_another_curve() {
        let mut both = samples(1000, |_| 20_000, |_| 100);
        let later = both.iter().map(|sample| Sample {
            pid: 2,
            at: sample.at + Duration::from_secs(1001),
            rss_kib: 30_000,
            ..*sample
        });
        let later: Vec<_> = later.collect();
        both.extend(later);
        let lives = lives(&both);
        assert!(lives.len() == 2 && lives.iter().all(Life::is_flat), "{lives:?}");
    }
}
