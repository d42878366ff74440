//! Writes a draft as a configuration file, with everything that has to be said about it as comments.

use std::fmt::Write as _;
use std::rc::Rc;

use cutover_control::admin::wire::service::ServiceSpec;
use serde_json::{Map, Value, to_value};

use super::draft::{Draft, VERSION};
use super::note::{Kind, Note};
use crate::config::raw::{ListenerSpec, ListenerTlsSpec, RawConfig};

/// Keys that people look for first, in this order; the others follow by name.
const FIRST: [&str; 16] = [
    "name",
    "bind",
    "protocol",
    "redirect_to_https",
    "hosts",
    "paths",
    "strip_prefix",
    "rewrite_prefix",
    "identity",
    "balance",
    "hash_on",
    "affinity",
    "id",
    "address",
    "version",
    "weight",
];

/// The text of the file. `source` is the word for where it comes from, `files` what was read.
pub(super) fn write(draft: &Draft, source: &str, files: &[Rc<str>]) -> String {
    let mut text = header(draft, source, files);
    let notes = |text: &mut String, notes: &[Note]| {
        for note in notes.iter().filter(|note| note.kind != Kind::Moot) {
            let _ = writeln!(text, "# {note}");
        }
    };
    if draft.notes.iter().any(|note| note.kind != Kind::Moot) {
        text.push_str("\n# Of the configuration as a whole:\n");
        notes(&mut text, &draft.notes);
    }
    let base = difference(to_value(&draft.base), to_value(RawConfig::default()));
    tables(&mut text, "", &base, false);
    let default = ListenerSpec { tls: Some(ListenerTlsSpec::default()), ..ListenerSpec::default() };
    for listener in &draft.listeners {
        let _ = writeln!(text, "\n# {}: {}", listener.from.place, listener.from.text);
        notes(&mut text, &listener.notes);
        let mut table = String::new();
        tables(&mut table, "listener", &difference(to_value(&listener.spec), to_value(&default)), true);
        for line in table.trim().lines() {
            let _ = writeln!(text, "{}{line}", if listener.is_off { "# " } else { "" });
        }
    }
    let default = ServiceSpec::default();
    for service in &draft.services {
        let _ = writeln!(text, "\n# {}: {}", service.from.place, service.from.text);
        if service.spec.hosts.is_empty() && !service.own_hosts.is_empty() {
            let names = service.own_hosts.join(", ");
            let _ = writeln!(
                text,
                "# For any host, as the default of its listener; its own names: {}",
                super::tree::shown(&names)
            );
        }
        notes(&mut text, &service.notes);
        let mut table = String::new();
        tables(&mut table, "service", &difference(to_value(&service.spec), to_value(&default)), true);
        text.push_str(table.trim_start());
    }
    let all = draft.services.iter().flat_map(|service| &service.notes);
    let all = all.chain(draft.listeners.iter().flat_map(|listener| &listener.notes)).chain(&draft.notes);
    let mut moot: Vec<_> = all.filter(|note| note.kind == Kind::Moot).collect();
    moot.sort_by(|a, b| a.place.cmp(&b.place));
    if !moot.is_empty() {
        text.push_str("\n# What needs nothing here:\n");
        for note in moot {
            let _ = writeln!(text, "# {note}");
        }
    }
    text
}

/// Everything that was said, by its kind.
pub(super) fn count(draft: &Draft, kind: Kind) -> usize {
    all_notes(draft).filter(|note| note.kind == kind).count()
}

/// All notes of a draft.
pub(super) fn all_notes(draft: &Draft) -> impl Iterator<Item = &Note> {
    let items = draft.listeners.iter().map(|listener| &listener.notes);
    let items = items.chain(draft.services.iter().map(|service| &service.notes));
    draft.notes.iter().chain(items.flatten())
}

fn header(draft: &Draft, source: &str, files: &[Rc<str>]) -> String {
    let mut text = format!("# Made by `cutover import {source}` of:\n");
    for file in files {
        let _ = writeln!(text, "#   {}", super::tree::shown(file));
    }
    let (lost, changed) = (count(draft, Kind::Lost), count(draft, Kind::Changed));
    let _ = write!(
        text,
        "#\n# Not carried over: {lost}. With another meaning here: {changed}. Each has a line below that begins with NOT CARRIED OVER or CHANGED.\n\
         #\n# What to look at next:\n\
         # - Every server is said to run version {VERSION:?}. So that cutover notices new code by itself, let the app name its version\n\
         #   in a header of its health answer (X-App-Version, `version_header`), set identity = \"health\" (or \"response\", if every answer\n\
         #   names it) and take the `version` out of `backends`.\n\
         # - Where health.protocol is \"tcp\", a server counts as up when it takes connections. Give the app a health page and name it:\n\
         #   health = {{ protocol = \"http\", path = \"/up\" }}.\n\
         # - Sessions are pinned to a version by a cookie named \"cutover\" (`pin`); with affinity = \"backend\" to a server of it, too.\n\
         # - `cutover check` reads this file as `cutover serve` will. All keys: config/reference.toml.\n"
    );
    if draft.listeners.len() > 1 {
        text.push_str(
            "# - Every listener serves every service: services are told apart by host and path. What only one port served needs a host of its own.\n",
        );
    }
    text
}

/// What is not as it would be without a word.
fn difference(value: serde_json::Result<Value>, default: serde_json::Result<Value>) -> Map<String, Value> {
    match without_defaults(value.unwrap_or_default(), &default.unwrap_or_default()) {
        Some(Value::Object(table)) => table,
        _ => Map::new(),
    }
}

fn without_defaults(value: Value, default: &Value) -> Option<Value> {
    match (value, default) {
        (value, default) if value == *default => None,
        (Value::Object(table), Value::Object(defaults)) => {
            let left = table.into_iter().filter_map(|(key, value)| {
                let value = match defaults.get(&key) {
                    Some(default) => without_defaults(value, default)?,
                    None => value,
                };
                Some((key, value))
            });
            Some(Value::Object(left.collect()))
        }
        (value, _) => Some(value),
    }
}

/// Writes a table and those in it.
fn tables(text: &mut String, path: &str, table: &Map<String, Value>, is_list: bool) {
    let mut keys: Vec<_> = table.keys().collect();
    keys.sort_by_key(|key| {
        (FIRST.iter().position(|first| first == key).unwrap_or(FIRST.len()), key.as_str())
    });
    let (inner, plain): (Vec<_>, Vec<_>) = keys.into_iter().partition(|key| table[*key].is_object());
    if is_list {
        let _ = writeln!(text, "\n[[{path}]]");
    } else if !plain.is_empty() {
        let _ = writeln!(text, "\n[{path}]");
    }
    for key in plain {
        let _ = writeln!(text, "{} = {}", key_text(key), value_text(&table[key], true));
    }
    for key in inner {
        if let Value::Object(inner) = &table[key] {
            let path = if path.is_empty() { key_text(key) } else { format!("{path}.{}", key_text(key)) };
            tables(text, &path, inner, false);
        }
    }
}

fn key_text(key: &str) -> String {
    let is_bare =
        !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    if is_bare { key.to_owned() } else { toml::Value::String(key.to_owned()).to_string() }
}

fn value_text(value: &Value, may_break: bool) -> String {
    match value {
        Value::String(text) => toml::Value::String(text.clone()).to_string(),
        Value::Array(items) if may_break && items.iter().any(Value::is_object) => {
            let lines: String =
                items.iter().map(|item| format!("  {},\n", value_text(item, false))).collect();
            format!("[\n{lines}]")
        }
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| value_text(item, false)).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(table) => {
            let mut keys: Vec<_> = table.keys().collect();
            keys.sort_by_key(|key| {
                (FIRST.iter().position(|first| first == key).unwrap_or(FIRST.len()), key.as_str())
            });
            let is_default_weight = |key: &str| key == "weight" && table[key] == 1;
            let pairs = keys.into_iter().filter(|key| !is_default_weight(key));
            let pairs: Vec<_> =
                pairs.map(|key| format!("{} = {}", key_text(key), value_text(&table[key], false))).collect();
            format!("{{ {} }}", pairs.join(", "))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}
