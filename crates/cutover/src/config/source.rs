//! TOML text as a document: the values, and where in the text each stands.

use std::collections::BTreeMap;
use std::ops::Range;

use cutover_control::document::{Path, Place, Problem, Problems};
use serde_json::{Map, Number, Value};
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::report::Report;

/// A parsed file.
#[derive(Debug)]
pub(super) struct Source {
    /// The values.
    pub(super) document: Value,
    /// What the text itself has wrong, by byte range.
    pub(super) syntax: Vec<(Range<usize>, String)>,
    spans: BTreeMap<Path, Spans>,
}

#[derive(Debug, Clone)]
struct Spans {
    key: Range<usize>,
    value: Range<usize>,
}

impl Source {
    /// Parses `text`. What is not TOML is in [`syntax`](Self::syntax), the values are what could be read all the same; values
    /// that no configuration has (dates, infinities) are in `problems`.
    pub(super) fn parse(text: &str, problems: &mut Problems) -> Self {
        let (table, errors) = DeTable::parse_recoverable(text);
        let mut source = Self { document: Value::Null, syntax: Vec::new(), spans: BTreeMap::new() };
        source.document = Value::Object(source.table(table.get_ref(), &Path::root(), problems));
        source.syntax = errors
            .iter()
            .map(|error| {
                let span = error.span().unwrap_or(0..0);
                (span.clone(), format!("not valid TOML: {}", source.syntax_message(text, span, error)))
            })
            .collect();
        source
    }

    fn syntax_message(&self, text: &str, span: Range<usize>, error: &toml::de::Error) -> String {
        match (error.message(), text.get(span.clone())) {
            ("duplicate key", Some(key)) if !key.is_empty() => self.duplicate(text, key, span.start),
            _ => in_one_line(error),
        }
    }

    /// What to say of `key`, which stands at `offset` for the second time in one table.
    fn duplicate(&self, text: &str, key: &str, offset: usize) -> String {
        let line_start = text[..offset].rfind('\n').map_or(0, |newline| newline + 1);
        let header = text[line_start..].lines().next().unwrap_or_default().trim();
        if let Some(name) = header.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            let name = name.trim_start_matches('[');
            let list = if text.contains(&format!("[[{name}]]")) {
                format!(", or begin another one by `[[{name}]]`")
            } else {
                String::new()
            };
            return format!("`[{name}]`: there is a `{key}` before it; put all of it under one header{list}");
        }
        // The parser keeps the first one.
        let is_first = |spans: &&Spans| spans.key.start < offset && text.get(spans.key.clone()) == Some(key);
        let first = self.spans.values().filter(is_first).map(|spans| spans.key.start).max();
        let line = first.map(|start| format!(", in line {}", text[..start].matches('\n').count() + 1));
        format!("`{key}` has a value already{}; remove one of them", line.unwrap_or_default())
    }

    /// The bytes that a problem is about: those of its key or value, else of the nearest table around it.
    fn span(&self, problem: &Problem) -> Range<usize> {
        if let Some(spans) = self.spans.get(&problem.path) {
            return match problem.place {
                Place::Key => spans.key.clone(),
                Place::Value => spans.value.clone(),
            };
        }
        let mut path = problem.path.parent();
        while let Some(around) = path {
            if let Some(spans) = self.spans.get(&around) {
                return spans.key.clone();
            }
            path = around.parent();
        }
        0..0
    }

    /// Everything that is wrong, each at its place. A line that is no TOML is read as well as can be, and what is wrong with
    /// the result is no news.
    pub(super) fn report(&self, file: &str, text: &str, problems: Problems) -> Report {
        let line_of = |offset: usize| text[..text.floor_char_boundary(offset)].matches('\n').count();
        let broken: Vec<_> = self.syntax.iter().map(|(span, _)| line_of(span.start)).collect();
        let located = problems.into_iter().map(|problem| (self.span(&problem), problem.to_string()));
        let mut errors: Vec<_> = located.filter(|(span, _)| !broken.contains(&line_of(span.start))).collect();
        errors.extend(self.syntax.iter().cloned());
        Report::new(file, text, errors)
    }

    fn table(&mut self, table: &DeTable<'_>, at: &Path, problems: &mut Problems) -> Map<String, Value> {
        let mut object = Map::new();
        for (key, value) in table {
            let path = at.key(key.get_ref());
            if let Some(value) = self.value(key.span(), value, &path, problems) {
                object.insert(key.get_ref().to_string(), value);
            }
        }
        object
    }

    /// The value, unless it is one that no configuration has.
    fn value(
        &mut self,
        key: Range<usize>,
        value: &Spanned<DeValue<'_>>,
        path: &Path,
        problems: &mut Problems,
    ) -> Option<Value> {
        self.spans.insert(path.clone(), Spans { key, value: value.span() });
        let json = match value.get_ref() {
            DeValue::String(text) => Value::String(text.to_string()),
            DeValue::Boolean(value) => Value::Bool(*value),
            DeValue::Integer(number) => Value::Number(integer(number)?),
            DeValue::Float(number) => {
                let number = number.as_str().parse().ok().and_then(Number::from_f64);
                let Some(number) = number else {
                    problems.value(path, "is no finite number");
                    return None;
                };
                Value::Number(number)
            }
            DeValue::Datetime(_) => {
                problems.value(path, "is a date; no key takes one, put it in quotes if it is meant as text");
                return None;
            }
            DeValue::Array(items) => {
                let mut list = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    let path = path.index(index);
                    // A hole would shift the places of all that follow.
                    list.push(self.value(item.span(), item, &path, problems).unwrap_or(Value::Null));
                }
                Value::Array(list)
            }
            DeValue::Table(table) => Value::Object(self.table(table, path, problems)),
        };
        Some(json)
    }
}

/// A number beyond 64 bits stays a number, and is out of the range of its key.
fn integer(number: &DeInteger<'_>) -> Option<Number> {
    let exact = i64::from_str_radix(number.as_str(), number.radix()).ok().map(Number::from);
    exact
        .or_else(|| number.as_str().parse::<f64>().ok().and_then(Number::from_f64))
        .or_else(|| Number::from_f64(f64::MAX))
}

/// The parser's words, on one line.
fn in_one_line(error: &toml::de::Error) -> String {
    let lines = error.message().lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("; ")
}
