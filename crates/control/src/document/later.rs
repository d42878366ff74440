//! Keys that the documentation names and this version can't act on yet: refused by name, never silently accepted.

use serde_json::Value;

use super::path::{Path, Segment};
use super::problem::Problems;

/// What may be written for a later key: whatever switches its feature off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Off {
    /// `false`, 0, `""`, `"0"`, `"0s"`, an empty list, or a table of nothing but these. The key is then taken out.
    Nothing,
    /// Any value but these: the key exists, and some of its values come later.
    AllBut(&'static [&'static str]),
}

/// One key, or some values of one, whose feature comes later.
#[derive(Debug, Clone, Copy)]
pub struct Later {
    /// The keys down to it; `*` is every element of a list.
    pub path: &'static [&'static str],
    /// What is acceptable all the same.
    pub off: Off,
    /// What to write instead, as the end of a sentence.
    pub instead: &'static str,
}

impl Later {
    /// Reports those of `keys` whose features are asked for, and takes them out of `document`, which stands at `at`.
    pub fn strip(keys: &[Self], document: &mut Value, at: &Path, problems: &mut Problems) {
        for key in keys {
            key.visit(key.path, document, at, problems);
        }
    }

    fn visit(&self, rest: &[&str], value: &mut Value, at: &Path, problems: &mut Problems) {
        let Some((&step, rest)) = rest.split_first() else { return };
        match value {
            Value::Array(items) if step == "*" => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.visit(rest, item, &at.index(index), problems);
                }
            }
            Value::Object(table) if rest.is_empty() => {
                let Some(value) = table.get(step) else { return };
                if self.is_off(value) {
                    if self.off == Off::Nothing {
                        table.remove(step);
                    }
                    return;
                }
                self.report(&at.key(step), value, problems);
                table.remove(step);
            }
            Value::Object(table) => {
                if let Some(inner) = table.get_mut(step) {
                    self.visit(rest, inner, &at.key(step), problems);
                }
            }
            _ => {}
        }
    }

    fn is_off(&self, value: &Value) -> bool {
        match self.off {
            Off::Nothing => is_nothing(value),
            Off::AllBut(values) => !values.iter().any(|later| value == later),
        }
    }

    fn report(&self, path: &Path, value: &Value, problems: &mut Problems) {
        let name = match path.segments().last() {
            Some(Segment::Key(key)) => key.as_str(),
            _ => "this",
        };
        match self.off {
            Off::Nothing => problems.key(
                path,
                format_args!("`{name}` is not available in this version of cutover; {}", self.instead),
            ),
            Off::AllBut(_) => problems.value(
                path,
                format_args!("{value} is not available in this version of cutover; {}", self.instead),
            ),
        }
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(on) => !on,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => matches!(text.as_str(), "" | "0" | "0s"),
        Value::Array(items) => items.is_empty(),
        Value::Object(table) => table.values().all(is_nothing),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const BAKE: Later = Later { path: &["service", "*", "bake"], off: Off::Nothing, instead: "remove it" };
    const KIND: Later =
        Later { path: &["store", "kind"], off: Off::AllBut(&["etcd"]), instead: "write \"embedded\"" };

    fn strip(later: Later, mut document: Value) -> (Value, Vec<String>) {
        let mut problems = Problems::default();
        Later::strip(&[later], &mut document, &Path::root(), &mut problems);
        (document, problems.into_iter().map(|problem| problem.to_string()).collect())
    }

    #[test]
    fn a_later_feature_is_refused_by_name() {
        let (document, problems) = strip(BAKE, json!({"service": [{}, {"bake": {"duration": "5m"}}]}));
        assert_eq!(document, json!({"service": [{}, {}]}));
        assert_eq!(
            problems,
            ["service[1].bake: `bake` is not available in this version of cutover; remove it"]
        );
    }

    #[test]
    fn a_later_feature_that_is_switched_off_is_no_problem() {
        let off =
            json!({"service": [{"bake": {"duration": "0s", "rollback": false, "max_error_rate": 0.0}}]});
        assert_eq!(strip(BAKE, off), (json!({"service": [{}]}), vec![]));
    }

    #[test]
    fn a_later_value_of_a_known_key_is_refused() {
        let (document, problems) = strip(KIND, json!({"store": {"kind": "etcd"}}));
        assert_eq!(document, json!({"store": {}}));
        assert_eq!(
            problems,
            ["store.kind: \"etcd\" is not available in this version of cutover; write \"embedded\""]
        );
        assert_eq!(strip(KIND, json!({"store": {"kind": "memory"}})).1, Vec::<String>::new());
    }
}
