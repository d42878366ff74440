//! `docs/config.md`: every key of the configuration file, from its schema, with what the reference file says beside it.

use std::fmt::Write as _;

use serde_json::Value;

use crate::fresh::{self, cell};
use crate::page::root;

const INTRODUCTION: &str = "# Configuration

One TOML file: `cutover serve --config cutover.toml`. Every key has a default, but for those that are *required*; an unknown key is an error.
`cutover check FILE` names every error at once, with line and column. `SIGHUP`, or a change of the file, reloads it: a bad file changes nothing and
says so.

Durations are strings of whole numbers with units (`ms`, `s`, `m`, `h`, `d`), sizes of whole numbers with `B`, `KiB`, `MiB`, `GiB` or `TiB`. Any
string may name the environment: `\"${NAME}\"`, `\"${NAME:-default}\"`.

Paths of files and sockets that don't begin with `/` are those of the directory in which the process was started, not of the configuration file: the unit of
the package starts in `/`. An upgrade of itself keeps the directory.

[config/reference.toml](../config/reference.toml) has every key at its default, to copy from;
[config/cutover.schema.json](../config/cutover.schema.json) is a JSON Schema for editors. This page is made of it by a test (`tests/docs`).
";

/// The tables in the order in which people need them.
const TABLES: [&str; 9] =
    ["node", "listener", "limits", "admin", "store", "access_log", "metrics", "tracing", "service"];

#[test]
fn the_page_has_every_key() {
    let text = std::fs::read_to_string(root().join("config/cutover.schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&text).unwrap();
    let top = schema["properties"].as_object().unwrap();
    let mut unknown = top.keys().filter(|key| !TABLES.contains(&key.as_str()));
    assert_eq!(unknown.next(), None, "a table that this page has no place for");
    let mut page = INTRODUCTION.to_owned();
    for name in TABLES {
        Writer { root: &schema }.table(name, &top[name], &mut page);
    }
    fresh::hold("config.md", &page);
}

struct Writer<'a> {
    root: &'a Value,
}

impl Writer<'_> {
    /// Writes the table at `path`, then those inside of it.
    fn table(&self, path: &str, node: &Value, page: &mut String) {
        let is_list = node["type"] == "array";
        let definition = self.definition(if is_list { &node["items"] } else { node });
        let heading = if is_list { format!("[[{path}]]") } else { format!("[{path}]") };
        let about = described(node).unwrap_or_else(|| described(definition).unwrap_or_default());
        write!(page, "\n## `{heading}`\n\n{about}\n\n| key | default | |\n|---|---|---|\n").unwrap();
        let mut inner = Vec::new();
        for (key, child) in definition["properties"].as_object().unwrap() {
            if self.is_table(child) {
                inner.push((key, child));
                let name = heading.trim_matches(['[', ']']);
                let link = format!("{name}.{key}").replace('.', "");
                writeln!(page, "| `{key}` | | a table of its own: [below](#{link}) |").unwrap();
            } else {
                let is_required =
                    definition["required"].as_array().is_some_and(|all| all.contains(&key.as_str().into()));
                let row = self.row(key, child, is_required);
                page.push_str(&row);
            }
        }
        for (key, child) in inner {
            self.table(&format!("{path}.{key}"), child, page);
        }
    }

    fn row(&self, key: &str, node: &Value, is_required: bool) -> String {
        let default = match &node["default"] {
            _ if is_required => "*required*".to_owned(),
            Value::Null => String::new(),
            value => format!("`{}`", in_toml(value)),
        };
        let mut about = described(node).unwrap_or_default();
        let choices = self.choices(node);
        if !choices.is_empty() {
            about = format!("{about} {}", choices.join("; "));
        }
        if let Some(example) = node["examples"].get(0) {
            about = format!("{about} Example: `{}`", in_toml(example));
        }
        format!("| `{key}` | {} | {} |\n", cell(&default), cell(&about))
    }

    /// The values that are allowed, with what each means.
    fn choices(&self, node: &Value) -> Vec<String> {
        let definition = self.definition(node);
        let one_of = definition["oneOf"].as_array().into_iter().flatten();
        let told = one_of.filter(|choice| choice["const"].is_string()).map(|choice| {
            format!(
                "`{}`: {}",
                in_toml(&choice["const"]),
                described(choice).unwrap_or_default().trim_end_matches('.')
            )
        });
        let listed = definition["enum"].as_array().into_iter().flatten();
        told.chain(listed.filter(|value| value.is_string()).map(|value| format!("`{}`", in_toml(value))))
            .collect()
    }

    /// Whether people write it as a table with a heading, not as a value behind a key.
    fn is_table(&self, node: &Value) -> bool {
        let element = if node["type"] == "array" { &node["items"] } else { node };
        self.definition(element)["properties"].is_object()
    }

    fn definition<'a>(&'a self, node: &'a Value) -> &'a Value {
        let reference = node["$ref"].as_str().or_else(|| {
            let options = node["anyOf"].as_array().or_else(|| node["allOf"].as_array());
            options.into_iter().flatten().find_map(|option| option["$ref"].as_str())
        });
        match reference {
            Some(reference) => self.root.pointer(reference.trim_start_matches('#')).unwrap(),
            None => node,
        }
    }
}

fn described(node: &Value) -> Option<String> {
    node["description"].as_str().map(str::to_owned)
}

/// A value as the file would have it.
fn in_toml(value: &Value) -> String {
    match value {
        Value::Object(table) if table.is_empty() => "{}".to_owned(),
        Value::Object(table) => {
            let pairs: Vec<String> =
                table.iter().map(|(key, value)| format!("{key} = {}", in_toml(value))).collect();
            format!("{{ {} }}", pairs.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(in_toml).collect::<Vec<_>>().join(", ")),
        value => value.to_string(),
    }
}
