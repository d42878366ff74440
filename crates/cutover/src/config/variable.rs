//! `"${NAME}"` and `"${NAME:-default}"` in strings of the file: values from the environment.

use cutover_control::document::{Path, Problems};
use serde_json::Value;

/// Looks up an environment variable.
pub(super) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Puts values in the place of variables, in every string of `value`. A string with a variable that isn't there is reported and
/// becomes what `value` has no use for, an empty string.
pub(super) fn substitute(value: &mut Value, at: &Path, lookup: Lookup<'_>, problems: &mut Problems) {
    match value {
        Value::String(text) => match expand(text, lookup) {
            Ok(None) => {}
            Ok(Some(expanded)) => *text = expanded,
            Err(error) => {
                problems.value(at, error);
                text.clear();
            }
        },
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                substitute(item, &at.index(index), lookup, problems);
            }
        }
        Value::Object(table) => {
            for (key, value) in table {
                substitute(value, &at.key(key), lookup, problems);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Why a string can't be expanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum ExpandError {
    #[error("has \"${{\" without \"}}\"; write \"${{NAME}}\" or \"${{NAME:-default}}\"")]
    Unclosed,
    #[error("{0:?} is no variable name; write letters, digits and '_', such as \"${{NAME}}\"")]
    Name(String),
    #[error("the environment has no variable {0}; set it, or write \"${{{0}:-default}}\"")]
    Missing(String),
}

/// The text with its variables replaced; `None` when it has none. Values are not expanded again.
fn expand(text: &str, lookup: Lookup<'_>) -> Result<Option<String>, ExpandError> {
    if !text.contains("${") {
        return Ok(None);
    }
    let (mut expanded, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, after)) = rest.split_once("${") {
        let (inside, after) = after.split_once('}').ok_or(ExpandError::Unclosed)?;
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        if !is_name(name) {
            return Err(ExpandError::Name(name.to_owned()));
        }
        expanded.push_str(before);
        // As in a shell, `:-` stands in for an empty variable too.
        match (lookup(name).filter(|value| default.is_none() || !value.is_empty()), default) {
            (Some(value), _) => expanded.push_str(&value),
            (None, Some(default)) => expanded.push_str(default),
            (None, None) => return Err(ExpandError::Missing(name.to_owned())),
        }
        rest = after;
    }
    expanded.push_str(rest);
    Ok(Some(expanded))
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Result<Option<String>, ExpandError> {
        expand(text, &|name| match name {
            "HOST" => Some("h".to_owned()),
            "EMPTY" => Some(String::new()),
            "NESTED" => Some("${HOST}".to_owned()),
            _ => None,
        })
    }

    #[test]
    fn variables_become_their_values() {
        let text = |text: &str| expanded(text).unwrap().unwrap();
        assert_eq!(text("${HOST}:${PORT:-80}${EMPTY}/"), "h:80/");
        assert_eq!(text("${EMPTY:-x}${NONE:-}"), "x");
        assert_eq!(text("${NESTED}"), "${HOST}");
        assert_eq!(expanded("$HOST {}"), Ok(None));
    }

    #[test]
    fn what_can_not_be_expanded_says_why() {
        let error = |text: &str| expanded(text).unwrap_err().to_string();
        assert_eq!(
            error("${NONE}"),
            "the environment has no variable NONE; set it, or write \"${NONE:-default}\""
        );
        assert_eq!(error("a ${HOST"), "has \"${\" without \"}\"; write \"${NAME}\" or \"${NAME:-default}\"");
        assert!(matches!(expanded("${1A}"), Err(ExpandError::Name(_))));
        assert!(matches!(expanded("${}"), Err(ExpandError::Name(_))));
    }
}
