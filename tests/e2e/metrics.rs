//! What `/metrics` shows, as Prometheus' own tool sees it; the alerts and the dashboard by the same tool.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::support::http::Request;
use crate::support::stage::Stage;
use crate::support::wait::within;

const PAGE: &str = include_str!("../../docs/metrics.md");
const DASHBOARD: &str = include_str!("../../docker/grafana/dashboards/cutover.json");

#[tokio::test]
async fn promtool_has_nothing_to_say_about_the_metrics() {
    let metrics = of_a_deploy().await;

    let Some(said) = promtool(&["check", "metrics"], &metrics).await else { return };

    assert_eq!(said, "", "promtool complains about\n{metrics}");
}

#[tokio::test]
async fn each_metric_has_the_type_and_the_labels_that_are_documented() {
    let metrics = of_a_deploy().await;
    let documented: BTreeMap<&str, (&str, BTreeSet<&str>)> = PAGE.lines().filter_map(row).collect();
    let types = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let types: BTreeMap<&str, &str> = types.collect();
    assert!(types.len() > 40, "hardly anything is counted:\n{metrics}");

    for (name, kind) in types {
        let (wanted, labels) = documented.get(name).unwrap_or_else(|| panic!("{name} is not documented"));
        assert_eq!(kind, *wanted, "{name}");
        for sample in metrics.lines().filter(|line| family(line, kind) == Some(name)) {
            assert_eq!(labels_of(sample), *labels, "{sample}");
        }
    }
}

#[tokio::test]
async fn alerts_fire_when_they_should_and_not_else() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/docker/prometheus/");
    let (config, tests) = (format!("{directory}prometheus.yaml"), format!("{directory}rules.test.yaml"));

    let Some(_) = promtool(&["check", "config", &config], "").await else { return };
    promtool(&["test", "rules", &tests], "").await;
}

#[tokio::test]
async fn every_query_of_the_dashboard_can_be_asked() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let mut queries = Vec::new();
    collect(&dashboard, &mut queries);
    assert!(queries.len() > 20, "{queries:?}");
    let rules = queries.iter().map(|query| {
        let query = query.replace("$__rate_interval", "1m").replace("$__interval", "1m");
        json!({ "record": "asked", "expr": query, "labels": { "query": query } })
    });
    // YAML is a superset of JSON.
    let group = json!({ "groups": [{ "name": "dashboard", "rules": rules.collect::<Vec<_>>() }] });
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("rules.yaml");
    std::fs::write(&file, group.to_string()).unwrap();

    promtool(&["check", "rules", &file.to_string_lossy()], "").await;
}

/// The metrics of a cutover that has served, flipped and refused.
async fn of_a_deploy() -> String {
    let stage = Stage::v1_and_v2().await;
    for path in ["/", "/missing", "/set-header"] {
        stage.ask(&Request::get(path)).await;
    }
    stage.admin().flip("v2").await;
    stage.ask(&Request::get("/")).await;
    stage.admin().call("POST", "/v1/services/web/rollback", &json!({})).await;
    stage.admin().call("GET", "/metrics", &Value::Null).await.text()
}

/// Runs promtool, which must find nothing wrong; what it says, or `None` if it is not installed.
async fn promtool(arguments: &[&str], input: &str) -> Option<String> {
    let mut command = Command::new("promtool");
    command.args(arguments).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("skipped: promtool is not installed");
            return None;
        }
        Err(error) => panic!("can't run promtool: {error}"),
    };
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.unwrap();
    drop(stdin);
    let done = within("promtool", child.wait_with_output()).await.unwrap();
    let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
    assert!(done.status.success(), "promtool {arguments:?}: {said}");
    Some(said)
}

/// Name, type and labels of a line of the page that documents a metric.
fn row(line: &str) -> Option<(&str, (&str, BTreeSet<&str>))> {
    let mut cells = line.strip_prefix("| `")?.split('|').map(str::trim);
    let name = cells.next()?.strip_suffix('`')?;
    let kind = cells.next()?;
    let labels = cells.next()?.split(", ").filter(|label| !label.is_empty());
    Some((name, (kind, labels.collect())))
}

/// The name of the metric that a sample belongs to.
fn family<'a>(line: &'a str, kind: &str) -> Option<&'a str> {
    let name = line.split(['{', ' ']).next().filter(|name| !name.starts_with('#'))?;
    let suffixes = ["_bucket", "_count", "_sum"];
    let of_histogram = || suffixes.iter().find_map(|suffix| name.strip_suffix(suffix));
    if kind == "histogram" { of_histogram() } else { Some(name) }
}

/// The names of a sample's labels, without the one that every bucket has.
fn labels_of(sample: &str) -> BTreeSet<&str> {
    let Some((_, labels)) = sample.split_once('{') else { return BTreeSet::new() };
    let names = labels.split("=\"").map(|part| part.rsplit(['{', ',', '"']).next().unwrap_or_default());
    // What stands behind the last label is its value.
    let mut names: Vec<&str> = names.collect();
    names.pop();
    names.into_iter().filter(|name| *name != "le").collect()
}

fn collect<'a>(value: &'a Value, queries: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            queries.extend(fields.get("expr").and_then(Value::as_str));
            fields.values().for_each(|value| collect(value, queries));
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, queries)),
        _ => {}
    }
}
