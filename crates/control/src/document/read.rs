//! A document into a type, with every problem of shape at once.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::path::Path;
use super::problem::Problems;
use super::schema::Schema;

/// Reads what is right of `document` into a `T` and reports the rest. Values that are wrong read as their defaults, so that what
/// is left can be checked for sense; the result counts only while `problems` is empty.
///
/// `at` is the path of `document`. `None` when nothing can be read at all; a problem then says why.
pub fn read<T: DeserializeOwned + JsonSchema>(
    mut document: Value,
    at: &Path,
    problems: &mut Problems,
) -> Option<T> {
    if !Schema::of::<T>().prune(&mut document, at, problems) {
        return None;
    }
    match serde_path_to_error::deserialize(document) {
        Ok(value) => Some(value),
        // The schema and the type come from one definition, so this is a gap in our walk; the document is refused all the same.
        Err(error) => {
            problems.value(&descend(at, error.path()), error.inner());
            None
        }
    }
}

fn descend(at: &Path, path: &serde_path_to_error::Path) -> Path {
    path.iter().fold(at.clone(), |at, segment| match segment {
        serde_path_to_error::Segment::Seq { index } => at.index(*index),
        serde_path_to_error::Segment::Map { key } => at.key(key),
        serde_path_to_error::Segment::Enum { variant } => at.key(variant),
        serde_path_to_error::Segment::Unknown => at,
    })
}
