//! JSON in and out. Reading is strict: a key that stands twice in one object is an error, because nobody can tell which one was meant.

use std::fmt;

use serde::Serialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// What can be written: every type of [`wire`](super).
pub trait Written {
    /// The JSON text.
    ///
    /// # Errors
    /// The writer's, for a type that has no form in JSON.
    fn write(&self) -> Result<String, serde_json::Error>;
}

impl<T: Serialize> Written for T {
    fn write(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}

/// Parses a document.
///
/// # Errors
/// The parser's, with line and column.
pub fn parse(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Strict.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(Self)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut table = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            // Before its value is read: the error then has the place of the key.
            if table.contains_key(&key) {
                return Err(A::Error::custom(format_args!("key {key:?} stands twice")));
            }
            table.insert(key, access.next_value_seed(Self)?);
        }
        Ok(Value::Object(table))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_are_read_as_they_are() {
        let text = br#" {"a": [null, true, -1, 18446744073709551615, 1.5, "x\u00e9"], "b": {"a": {}}} "#;
        let expected = json!({"a": [null, true, -1, u64::MAX, 1.5, "xé"], "b": {"a": {}}});
        assert_eq!(parse(text).unwrap(), expected);
    }

    #[test]
    fn what_is_no_document_is_refused_with_its_place() {
        let error = |text: &str| parse(text.as_bytes()).unwrap_err().to_string();
        assert!(error("{\n  \"a\": 1,\n  \"a\": 2\n}").starts_with("key \"a\" stands twice at line 3"));
        assert!(error("{\"a\": }").ends_with("at line 1 column 7"));
        assert!(error("{} {}").contains("trailing characters"));
        assert!(error(&"[".repeat(1000)).contains("recursion limit"));
        assert!(parse(b"\"\xff\"").is_err());
    }
}
