//! The report: what was measured, as lines for people and as one JSON object for programs.

use std::{fmt, time::Duration};

use serde_json::{Value, json};

use super::{
    compare::Comparison,
    halves::{Drained, Show},
    judge::Verdict,
    trace::{Change, ChangeKind},
};

/// The results of one run.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) show: Show,
    pub(super) comparison: Comparison,
    pub(super) took: Duration,
}

impl Report {
    /// Whether cutover kept its promises. The comparison makes none.
    pub(super) fn is_clean(&self) -> bool {
        self.show.verdict.is_clean() && self.show.drained.by.is_some()
    }

    /// The whole report as one JSON object; durations are in milliseconds.
    pub(super) fn to_json(&self) -> Value {
        let flips = self.durations(ChangeKind::Flip);
        let mut report = verdict_json(&self.show.verdict);
        let own = json!({
            "clean": self.is_clean(),
            "flips": flips.len(),
            "flip_p50_ms": millis(p50(&flips)),
            "flip_max_ms": millis(flips.last().copied()),
            "rollback_ms": millis(p50(&self.durations(ChangeKind::Rollback))),
            "drain_ms": millis(Some(self.show.drained.took)),
            "drained_by": self.show.drained.by,
            "roll_ms": millis(Some(self.show.took)),
            "took_ms": millis(Some(self.took)),
            "round_robin": verdict_json(&self.comparison.verdict),
        });
        merge(&mut report, own);
        merge(&mut report["round_robin"], json!({ "roll_ms": millis(Some(self.comparison.took)) }));
        report
    }

    /// The times of all changes of one kind, shortest first.
    fn durations(&self, kind: ChangeKind) -> Vec<Duration> {
        let chosen = self.show.changes.iter().filter(|change| change.kind == kind);
        let mut durations: Vec<_> = chosen.map(Change::took).collect();
        durations.sort();
        durations
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ours, theirs) = (&self.show.verdict, &self.comparison.verdict);
        let flips = self.durations(ChangeKind::Flip);
        let mut line =
            |name: &str, value: &dyn fmt::Display| writeln!(f, "{:<33}{value}", format!("{name}:"));
        line("requests", &ours.requests)?;
        line("failed", &ours.failed)?;
        line("sessions", &ours.sessions)?;
        line("sessions that mixed versions", &ours.mixed)?;
        line("sessions that went back", &ours.went_back)?;
        line("new sessions on an old version", &ours.late)?;
        line("sessions moved by the rollback", &ours.rolled_back)?;
        line("assets lost to the rollback", &ours.assets_rolled_back)?;
        let (p50, max) = (shown(p50(&flips)), shown(flips.last().copied()));
        line("flip", &format!("p50 {p50}, max {max} ({} flips)", flips.len()))?;
        line("rollback", &shown(self::p50(&self.durations(ChangeKind::Rollback))))?;
        line("old version when the rest began", &self.show.drained)?;
        let comparison = format!(
            "{} of {} sessions mixed versions, {} went back; {} of {} requests failed, {} of them assets that were 404",
            theirs.mixed,
            theirs.sessions,
            theirs.went_back,
            theirs.failed,
            theirs.requests,
            theirs.assets_missing
        );
        line("one by one behind round robin", &comparison)?;
        writeln!(
            f,
            "The roll by halves took {:.1} s, the one behind round robin {:.1} s, the whole run {:.1} s.",
            self.show.took.as_secs_f64(),
            self.comparison.took.as_secs_f64(),
            self.took.as_secs_f64()
        )?;
        for what in &ours.explained {
            writeln!(f, "what went wrong: {what}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Drained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.took.as_secs_f64();
        match &self.by {
            Some(by) => write!(f, "drained by {by}, {seconds:.1} s after the last flip"),
            None => write!(f, "not drained, {seconds:.1} s after the last flip"),
        }
    }
}

fn verdict_json(verdict: &Verdict) -> Value {
    json!({
        "requests": verdict.requests,
        "failed": verdict.failed,
        "assets_missing": verdict.assets_missing,
        "assets_lost_to_rollback": verdict.assets_rolled_back,
        "sessions": verdict.sessions,
        "sessions_mixed": verdict.mixed,
        "sessions_went_back": verdict.went_back,
        "sessions_moved_by_rollback": verdict.rolled_back,
        "new_sessions_on_old_version": verdict.late,
        "first_failures": verdict.explained,
    })
}

/// Adds the fields of one object to another.
fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}

/// The median of sorted durations by nearest rank.
fn p50(sorted: &[Duration]) -> Option<Duration> {
    sorted.get(sorted.len().saturating_sub(1) / 2).copied()
}

fn millis(duration: Option<Duration>) -> Option<f64> {
    duration.map(|duration| (duration.as_secs_f64() * 1e6).round() / 1e3)
}

fn shown(duration: Option<Duration>) -> String {
    duration.map_or_else(|| "none".to_owned(), |duration| format!("{:.1} ms", duration.as_secs_f64() * 1e3))
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::demo::release::Release;

    #[test]
    fn the_text_has_a_line_for_each_promise_and_the_comparison() {
        let text = report(0).to_string();

        for line in [
            "requests:                        500",
            "sessions that mixed versions:    0",
            "sessions that went back:         0",
            "old version when the rest began: drained by proof, 9.0 s after the last flip",
        ] {
            assert!(text.contains(line), "{text}");
        }
        assert!(text.contains("flip:                            p50 2.0 ms, max 8.0 ms (2 flips)"), "{text}");
        assert!(text.contains("7 of 40 sessions mixed versions"), "{text}");
    }

    #[test]
    fn the_json_says_the_same() {
        let json = report(0).to_json();

        assert_eq!((&json["failed"], &json["clean"]), (&json!(0), &json!(true)));
        assert_eq!((&json["flip_p50_ms"], &json["flip_max_ms"]), (&json!(2.0), &json!(8.0)));
        assert_eq!(json["round_robin"]["sessions_mixed"], 7);
        assert_eq!(json["round_robin"]["roll_ms"], 6000.0);
    }

    #[test]
    fn one_failure_spoils_the_report_whatever_the_comparison_did() {
        let report = report(1);

        assert!(!report.is_clean());
        assert_eq!(report.to_json()["clean"], false);
    }

    #[test]
    fn a_restart_before_the_old_version_is_drained_breaks_a_promise() {
        let mut report = report(0);
        report.show.drained.by = None;

        assert!(!report.is_clean());
        assert!(report.to_string().contains("not drained, 9.0 s after the last flip"), "{report}");
        assert_eq!(report.to_json()["drained_by"], Value::Null);
    }

    fn report(failed: u64) -> Report {
        let zero = Instant::now();
        let change = |kind, ms| Change {
            kind,
            from: Release::FIRST,
            to: Release::FIRST.next(),
            called: zero,
            answered: zero + Duration::from_millis(ms),
        };
        let verdict = Verdict { requests: 500, failed, sessions: 40, ..Verdict::default() };
        let changes =
            vec![change(ChangeKind::Flip, 8), change(ChangeKind::Rollback, 3), change(ChangeKind::Flip, 2)];
        let drained = Drained { took: Duration::from_secs(9), by: Some("proof".into()) };
        let theirs = Verdict { mixed: 7, went_back: 5, failed: 3, ..verdict.clone() };
        Report {
            show: Show {
                verdict,
                changes,
                drained,
                took: Duration::from_secs(30),
                release: Release::FIRST.next(),
            },
            comparison: Comparison { verdict: theirs, took: Duration::from_secs(6) },
            took: Duration::from_secs(50),
        }
    }
}
