//! Metrics, their documentation, the alerts and the dashboard name the same things.

use std::collections::BTreeSet;

use super::{File, Finding};

/// Where every metric and alert is documented.
pub(crate) const PAGE: &str = "docs/metrics.md";
/// The alerts.
pub(crate) const RULES: &str = "docker/prometheus/rules.yaml";
/// Their unit tests.
pub(crate) const RULE_TESTS: &str = "docker/prometheus/rules.test.yaml";
/// The dashboard.
pub(crate) const DASHBOARD: &str = "docker/grafana/dashboards/cutover.json";

/// Names of metrics begin with one of these.
const PREFIXES: [&str; 2] = ["cutover_", "process_"];
/// What Prometheus appends to the name of a histogram.
const OF_HISTOGRAMS: [&str; 3] = ["_bucket", "_count", "_sum"];

/// Every metric that the sources make has its line on the page, and every line there is one that they make.
pub(crate) fn documented_as_made(sources: &[&File], page: &File) -> Vec<Finding> {
    let made: BTreeSet<&str> = sources
        .iter()
        .filter(|file| file.path.starts_with("crates/") && file.path.contains("/src/"))
        .flat_map(|file| made_by(file.text.split("#[cfg(test)]").next().unwrap_or_default()))
        .collect();
    let documented = documented(page);
    let missing = made.difference(&documented).map(|name| format!("the metric {name} is not documented"));
    let stale = documented.difference(&made).map(|name| format!("there is no metric {name}"));
    missing.chain(stale).map(|message| Finding::new(&page.path, 1, message)).collect()
}

/// What the expressions of a text ask for is documented.
pub(crate) fn known_metrics(file: &File, page: &File) -> Vec<Finding> {
    let documented = documented(page);
    let mut findings = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        let unknown = words(line).filter(|word| PREFIXES.iter().any(|prefix| word.starts_with(prefix)));
        let unknown = unknown.filter(|word| {
            let family = OF_HISTOGRAMS.iter().find_map(|suffix| word.strip_suffix(suffix));
            !documented.contains(word) && !family.is_some_and(|family| documented.contains(family))
        });
        findings.extend(
            unknown.map(|name| Finding::new(&file.path, index + 1, format!("there is no metric {name}"))),
        );
    }
    findings
}

/// Every alert is on the page, every one on the page exists, and each is seen to fire by a test.
pub(crate) fn alerts(rules: &File, tests: &File, page: &File) -> Vec<Finding> {
    let alerts: BTreeSet<&str> =
        rules.text.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    let documented: BTreeSet<&str> = first_cells(&page.text, "Cutover").collect();
    let undocumented = alerts.difference(&documented).map(|name| format!("{name} is not in {}", page.path));
    let stale = documented.difference(&alerts).map(|name| format!("{name} is documented and does not exist"));
    let untested = alerts
        .iter()
        .filter(|name| !tests.text.contains(&format!("alertname: {name}\n        exp_alerts:\n")))
        .map(|name| format!("no test of {} sees {name} fire", tests.path));
    undocumented.chain(stale).chain(untested).map(|message| Finding::new(&rules.path, 1, message)).collect()
}

fn documented(page: &File) -> BTreeSet<&str> {
    PREFIXES.iter().flat_map(|prefix| first_cells(&page.text, prefix)).collect()
}

/// String literals that are names of metrics.
fn made_by(code: &str) -> impl Iterator<Item = &str> {
    code.split('"').filter(|literal| {
        PREFIXES.iter().any(|prefix| literal.len() > prefix.len() && literal.starts_with(prefix))
            && words(literal).next() == Some(literal)
    })
}

/// What begins with `prefix` in the first cells of a page's tables.
fn first_cells<'a>(page: &'a str, prefix: &str) -> impl Iterator<Item = &'a str> {
    page.lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` |"))
        .map(|(name, _)| name)
        .filter(move |name| name.starts_with(prefix))
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|char: char| !(char.is_ascii_alphanumeric() || char == '_')).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn a_metric_that_is_not_documented_is_found_and_the_other_way_round() {
        let code = "x(\"cutover_a_total\", \"help\");\nx(\"cutover_b\");\n#[cfg(test)]\nx(\"cutover_test\");";
        let source = file("crates/proxy/src/telemetry/metrics.rs", code);
        let page = file(
            PAGE,
            "| metric | type |\n|---|---|\n| `cutover_a_total` | counter |\n| `process_c` | gauge |\n",
        );

        let found = documented_as_made(&[&source], &page);

        let messages: Vec<_> = found.iter().map(|finding| finding.message.as_str()).collect();
        assert_eq!(messages, ["the metric cutover_b is not documented", "there is no metric process_c"]);
    }

    #[test]
    fn an_expression_that_asks_for_what_does_not_exist_is_found() {
        let page = file(PAGE, "| `cutover_a_seconds` | histogram |\n");
        let rules = file(RULES, "# about cutover\nrate(cutover_a_seconds_bucket[5m]) > cutover_gone\n");

        let found = known_metrics(&rules, &page);

        assert_eq!(found, [Finding::new(RULES, 2, "there is no metric cutover_gone")]);
    }

    #[test]
    fn an_alert_without_a_test_that_sees_it_fire_is_found() {
        let rules = file(RULES, "      - alert: CutoverA\n      - alert: CutoverB\n");
        let tests =
            file(RULE_TESTS, "        alertname: CutoverA\n        exp_alerts:\n{alertname: CutoverB}\n");
        let page = file(PAGE, "| `CutoverA` | x |\n| `CutoverB` | x |\n| `CutoverC` | x |\n");

        let found = alerts(&rules, &tests, &page);

        let messages: Vec<_> = found.iter().map(|finding| finding.message.as_str()).collect();
        let untested = format!("no test of {RULE_TESTS} sees CutoverB fire");
        assert_eq!(messages, ["CutoverC is documented and does not exist", &untested]);
    }
}
