//! The shape of a document, from the types that it deserializes into: what is not of that shape is reported and taken out.
//!
//! Deserializers stop at the first error. A walk along the generated JSON schema finds them all, knows the path of each, and can
//! say what would have been right. It understands what schemars generates for our types, and no more.

use schemars::JsonSchema;
use serde_json::{Map, Number, Value};

use super::path::Path;
use super::problem::Problems;

/// Known keys are listed up to this many: a longer list hides the answer.
const LISTED_KEYS_MAX: usize = 10;
/// A text is repeated up to this length: a longer one hides what is said of it.
const SHOWN_BYTES_MAX: usize = 64;

/// The JSON schema of a type.
#[derive(Debug, Clone)]
pub struct Schema {
    root: Value,
}

impl Schema {
    /// The schema of `T`.
    #[must_use]
    pub fn of<T: JsonSchema>() -> Self {
        Self {
            root: schemars::generate::SchemaSettings::draft2020_12()
                .into_generator()
                .into_root_schema_for::<T>()
                .into(),
        }
    }

    /// The schema as a JSON document.
    #[must_use]
    pub fn as_json(&self) -> &Value {
        &self.root
    }

    /// Reports everything in `document` that the schema doesn't allow and takes it out, so that what is left deserializes.
    /// `at` is the path of `document`.
    ///
    /// Returns whether anything is left: `false` when the document as a whole is of the wrong type.
    pub fn prune(&self, document: &mut Value, at: &Path, problems: &mut Problems) -> bool {
        self.walk(&self.root, document, at, problems)
    }

    /// Whether `value` may stay; what is wrong deeper inside has been taken out.
    fn walk(&self, schema: &Value, value: &mut Value, at: &Path, problems: &mut Problems) -> bool {
        let options = schema["anyOf"].as_array();
        if value.is_null()
            && options.is_some_and(|options| options.iter().any(|option| has_type(option, "null")))
        {
            return true;
        }
        let schema = self.resolve(schema);
        if let Some(allowed) = constants(schema) {
            return check_constant(&allowed, value, at, problems);
        }
        match value {
            Value::Object(table) if has_type(schema, "object") => {
                self.walk_table(schema, table, at, problems);
                true
            }
            Value::Array(items) if has_type(schema, "array") => self.walk_list(schema, items, at, problems),
            Value::String(text) if has_type(schema, "string") => check_text(schema, text, at, problems),
            Value::Bool(_) if has_type(schema, "boolean") => true,
            Value::Null if has_type(schema, "null") => true,
            Value::Number(number)
                if has_type(schema, "integer") && number.as_f64().is_some_and(|n| n.fract() == 0.0)
                    || has_type(schema, "number") =>
            {
                check_number(schema, number, at, problems)
            }
            wrong => {
                let instead = self.instead(schema, wrong, at).unwrap_or_default();
                problems.value(
                    at,
                    format_args!("is {}; must be {}{instead}", found(wrong), self.expected(schema)),
                );
                false
            }
        }
    }

    fn walk_table(&self, schema: &Value, table: &mut Map<String, Value>, at: &Path, problems: &mut Problems) {
        let none = Map::new();
        let properties = schema["properties"].as_object().unwrap_or(&none);
        for required in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !table.contains_key(required) {
                let expected = properties.get(required).map(|schema| self.expected(self.resolve(schema)));
                let expected = expected.unwrap_or_default();
                problems.value(
                    &at.key(required),
                    format_args!("is missing; `{required}` is required, {expected}"),
                );
            }
        }
        table.retain(|key, value| {
            let path = at.key(key);
            if let Some(schema) = properties.get(key) {
                return self.walk(schema, value, &path, problems);
            }
            match &schema["additionalProperties"] {
                Value::Bool(false) => {
                    problems.key(&path, self.unknown_key(key, value, properties));
                    false
                }
                Value::Object(_) => self.walk(&schema["additionalProperties"], value, &path, problems),
                _ => true,
            }
        });
    }

    /// A list keeps its length, so that places stay true: with a wrong element the list as a whole goes.
    fn walk_list(&self, schema: &Value, items: &mut [Value], at: &Path, problems: &mut Problems) -> bool {
        if let Some(min) = schema["minItems"].as_u64()
            && (items.len() as u64) < min
        {
            problems.value(at, format_args!("is empty; must be {}", self.expected(schema)));
            return false;
        }
        let mut all = true;
        for (index, item) in items.iter_mut().enumerate() {
            all &= self.walk(&schema["items"], item, &at.index(index), problems);
        }
        all
    }

    fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        let mut schema = schema;
        // References of a generated schema don't form a cycle without a table in between, and `Option` adds one level.
        for _ in 0..8 {
            if let Some(target) = schema["$ref"].as_str().and_then(|target| target.strip_prefix('#')) {
                schema = self.root.pointer(target).unwrap_or(&Value::Null);
            } else if let Some(options) = schema["anyOf"].as_array() {
                let some = options.iter().find(|option| option["type"] != "null");
                schema = some.unwrap_or(&Value::Null);
            } else {
                return schema;
            }
        }
        schema
    }

    fn unknown_key(&self, key: &str, value: &Value, known: &Map<String, Value>) -> String {
        let unknown = format!("unknown key `{key}`");
        if let Some(name) = nearest(key, known.keys().map(String::as_str)) {
            return format!("{unknown}; did you mean `{name}`?");
        }
        let is_inside = |schema| self.resolve(schema)["properties"].get(key).is_some();
        if let Some((table, _)) = known.iter().find(|(_, schema)| is_inside(schema)) {
            return format!("{unknown}; did you mean `{table}.{key}`?");
        }
        let is_inside = |schema| self.tables_of(schema).is_some_and(is_inside);
        if let Some((list, _)) = known.iter().find(|(_, schema)| is_inside(schema)) {
            let inside = if value.is_object() { format!("[{list}.{key}]") } else { key.to_owned() };
            return format!("{unknown}; it belongs to a `[[{list}]]`: write `{inside}` below that");
        }
        if known.len() > LISTED_KEYS_MAX {
            return format!("{unknown}; remove it");
        }
        let known: Vec<_> = known.keys().map(|name| format!("`{name}`")).collect();
        format!("{unknown}; known here: {}", known.join(", "))
    }

    /// The schema of the tables in a list of them.
    fn tables_of<'a>(&'a self, schema: &'a Value) -> Option<&'a Value> {
        let schema = self.resolve(schema);
        let item = has_type(schema, "array").then(|| self.resolve(&schema["items"]))?;
        has_type(item, "object").then_some(item)
    }

    /// How to write what somebody who wrote `wrong` most likely means, as the end of "must be …".
    fn instead(&self, schema: &Value, wrong: &Value, at: &Path) -> Option<String> {
        match wrong {
            Value::Object(_) => {
                self.tables_of(schema)?;
                Some(format!(": write `[[{}]]`, in JSON `[{{…}}]`", at.keys()))
            }
            Value::Array(items) if has_type(schema, "object") && items.iter().all(Value::is_object) => {
                Some(format!(": write `[{}]`, in JSON `{{…}}`", at.keys()))
            }
            // What needs one thing only is often written as that.
            Value::String(text) if text.len() <= SHOWN_BYTES_MAX => {
                let [required] = schema["required"].as_array()?.as_slice() else { return None };
                let key = required.as_str()?;
                has_type(self.resolve(&schema["properties"][key]), "string")
                    .then(|| format!(" such as {{ {key} = {text:?} }}"))
            }
            _ => None,
        }
    }

    /// What `schema` allows, as the end of "must be …".
    fn expected(&self, schema: &Value) -> String {
        if let Some(allowed) = constants(schema) {
            return one_of(&allowed);
        }
        if has_type(schema, "object") {
            "a table".to_owned()
        } else if has_type(schema, "array") {
            let item = self.resolve(&schema["items"]);
            let items = if has_type(item, "object") { "tables" } else { "strings" };
            let example = example(schema).map(|example| format!(" such as {example}")).unwrap_or_default();
            format!("a list of {items}{example}")
        } else if has_type(schema, "string") {
            let example = example(schema).map(|example| format!(" such as {example}")).unwrap_or_default();
            format!("a string{example}")
        } else if has_type(schema, "boolean") {
            "true or false".to_owned()
        } else {
            expected_number(schema)
        }
    }
}

/// The values that a string enumeration allows.
fn constants(schema: &Value) -> Option<Vec<&str>> {
    if let Some(values) = schema["enum"].as_array() {
        return Some(values.iter().filter_map(Value::as_str).collect());
    }
    if let Some(value) = schema["const"].as_str() {
        return Some(vec![value]);
    }
    let options = schema["oneOf"].as_array()?;
    Some(options.iter().filter_map(constants).flatten().collect())
}

fn has_type(schema: &Value, name: &str) -> bool {
    match &schema["type"] {
        Value::String(only) => only == name,
        Value::Array(some) => some.iter().any(|one| one == name),
        _ => false,
    }
}

fn check_constant(allowed: &[&str], value: &Value, at: &Path, problems: &mut Problems) -> bool {
    match value.as_str() {
        Some(text) if allowed.contains(&text) => true,
        Some(text) => {
            let hint = nearest(text, allowed.iter().copied()).filter(|_| allowed.len() > 1);
            let hint = hint.map(|name| format!(" (did you mean {name:?}?)")).unwrap_or_default();
            problems.value(at, format_args!("is {text:?}; must be {}{hint}", one_of(allowed)));
            false
        }
        None => {
            problems.value(at, format_args!("is {}; must be {}", found(value), one_of(allowed)));
            false
        }
    }
}

fn check_text(schema: &Value, text: &str, at: &Path, problems: &mut Problems) -> bool {
    let example = example(schema).map(|example| format!(" such as {example}")).unwrap_or_default();
    if text.is_empty() && schema["minLength"].as_u64() > Some(0) {
        problems.value(at, format_args!("is empty; must be a string{example}"));
        return false;
    }
    true
}

fn check_number(schema: &Value, number: &Number, at: &Path, problems: &mut Problems) -> bool {
    let value = number.as_f64().unwrap_or(f64::NAN);
    let is_within = schema["minimum"].as_f64().is_none_or(|min| value >= min)
        && schema["maximum"].as_f64().is_none_or(|max| value <= max);
    if !is_within {
        problems.value(at, format_args!("is {number}; must be {}", expected_number(schema)));
    }
    is_within
}

/// Every number of ours has a lower bound; those without an upper one are bounded by their type only.
fn expected_number(schema: &Value) -> String {
    let kind = if has_type(schema, "integer") { "a whole number" } else { "a number" };
    let min = schema["minimum"].as_f64().unwrap_or(0.0);
    match schema["maximum"].as_f64() {
        Some(max) => format!("{kind} from {min} to {max}"),
        None => format!("{kind}, at least {min}"),
    }
}

fn example(schema: &Value) -> Option<String> {
    let default = &schema["default"];
    let example = schema["examples"].get(0).unwrap_or(default);
    let is_empty = match example {
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => true,
    };
    (!is_empty).then(|| example.to_string())
}

fn found(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => format!("{value}"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(_) => "a string".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a table".to_owned(),
    }
}

fn one_of(allowed: &[&str]) -> String {
    let quoted: Vec<_> = allowed.iter().map(|value| format!("{value:?}")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => "nothing".to_owned(),
    }
}

fn nearest<'a>(text: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Long garbage resembles nothing, and its distance is costly to compute. Numbers are near to each other without anybody meaning it.
    if text.len() > 64 || !text.bytes().any(|byte| byte.is_ascii_alphabetic()) {
        return None;
    }
    let scored = known.map(|name| (strsim::jaro_winkler(text, name), name)).filter(|&(score, _)| score > 0.8);
    scored.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[schemars(extend("required" = ["name"]))]
    struct Doc {
        #[serde(default)]
        name: Option<String>,
        #[serde(default)]
        #[schemars(range(min = 1, max = 10))]
        count: u32,
        #[serde(default)]
        mode: Option<Mode>,
        #[serde(default)]
        inner: Vec<Inner>,
        #[serde(default)]
        only: Option<Inner>,
        #[serde(default)]
        #[schemars(range(min = 0.0, max = 1.0))]
        share: f64,
    }

    #[derive(Debug, PartialEq, Deserialize, JsonSchema)]
    #[serde(rename_all = "kebab-case")]
    enum Mode {
        /// One at a time.
        OneByOne,
        /// In halves.
        Halves,
    }

    #[derive(Debug, Default, PartialEq, Deserialize, JsonSchema)]
    #[serde(default, deny_unknown_fields)]
    struct Inner {
        #[schemars(example = &"30s")]
        idle: String,
        flags: Vec<bool>,
    }

    fn prune(mut document: Value) -> (Value, Vec<String>) {
        let mut problems = Problems::default();
        Schema::of::<Doc>().prune(&mut document, &Path::root(), &mut problems);
        (document, problems.into_iter().map(|problem| problem.to_string()).collect())
    }

    #[test]
    fn a_right_document_stays_as_it_is() {
        let right = json!({"name": "a", "count": 3, "mode": "halves", "inner": [{"idle": "1s", "flags": [true]}], "share": 1});
        let (left, problems) = prune(right.clone());
        assert_eq!((left, problems), (right, vec![]));
    }

    #[test]
    fn every_problem_is_reported_with_its_path_and_what_would_be_right() {
        let (_, problems) = prune(json!({
            "cuont": 1, "count": 11, "mode": "one-by-on", "share": -0.5,
            "inner": [{"idle": 30}, {"zzz": 1}, {"flags": [1]}, {"flags": "x"}],
        }));
        insta::assert_snapshot!(problems.join("\n"));
    }

    #[test]
    fn what_is_left_deserializes() {
        let (left, problems) = prune(
            json!({"name": 7, "count": "x", "mode": null, "inner": [{"idle": [], "x": 1}], "share": "y"}),
        );
        assert_eq!(problems.len(), 5, "{problems:?}");
        let doc: Doc = serde_json::from_value(left).unwrap();
        assert_eq!(doc, Doc { inner: vec![Inner::default()], ..Doc::default() });
    }

    #[test]
    fn a_document_of_the_wrong_type_is_no_document() {
        let mut problems = Problems::default();
        assert!(!Schema::of::<Doc>().prune(&mut json!([1]), &Path::root(), &mut problems));
        assert_eq!(problems.as_slice()[0].to_string(), "is a list; must be a table");
    }

    #[test]
    fn one_where_a_list_is_meant_and_a_list_where_one_is_meant_are_told_apart() {
        assert_eq!(
            prune(json!({"name": "a", "inner": {"idle": "1s"}})).1,
            ["inner: is a table; must be a list of tables: write `[[inner]]`, in JSON `[{…}]`"]
        );
        assert_eq!(
            prune(json!({"name": "a", "only": [{"idle": "1s"}]})).1,
            ["only: is a list; must be a table: write `[only]`, in JSON `{…}`"]
        );
        assert_eq!(
            prune(json!({"name": "a", "idle": "1s", "only": "x"})).1,
            ["idle: unknown key `idle`; did you mean `only.idle`?", "only: is a string; must be a table"]
        );
    }

    #[test]
    fn a_fraction_is_no_whole_number() {
        assert_eq!(
            prune(json!({"name": "a", "count": 1.5})).1,
            ["count: is the number 1.5; must be a whole number from 1 to 10"]
        );
    }
}
