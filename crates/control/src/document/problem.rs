//! What is wrong in a document, and where.

use std::fmt;

use super::path::Path;

/// Whether a problem is with a key or with its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The key should not be there.
    Key,
    /// The value is wrong, or missing.
    Value,
}

/// One thing that is wrong in a document. Displays as `service[0].pin.idle: "abc" is no duration; …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub path: Path,
    /// With the key there or with its value.
    pub place: Place,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.segments().is_empty() {
            return f.write_str(&self.message);
        }
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// Everything that is wrong in a document; at most one problem per value, the first that was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Problems that are kept. A longer list helps nobody, and a document of a megabyte must not make an answer of ten.
    pub const MAX: usize = 100;

    /// Reports a wrong value.
    pub fn value(&mut self, path: &Path, message: impl fmt::Display) {
        self.push(path, Place::Value, &message);
    }

    /// Reports a key that should not be there.
    pub fn key(&mut self, path: &Path, message: impl fmt::Display) {
        self.push(path, Place::Key, &message);
    }

    /// Whether nothing is known to be wrong with the value at `path` or inside it. A rule about two values asks this first: one
    /// that was taken out reads as its default.
    #[must_use]
    pub fn is_clean(&self, path: &Path) -> bool {
        !self.0.iter().any(|problem| problem.path.segments().starts_with(path.segments()))
    }

    /// Whether nothing is wrong at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The problems, in the order in which they were found.
    #[must_use]
    pub fn as_slice(&self) -> &[Problem] {
        &self.0
    }

    /// Whether the value at `path`, or one around it, is already known to be wrong.
    fn is_known(&self, path: &Path) -> bool {
        self.0.iter().any(|problem| path.segments().starts_with(problem.path.segments()))
    }

    fn push(&mut self, path: &Path, place: Place, message: &dyn fmt::Display) {
        if self.0.len() < Self::MAX && !self.is_known(path) {
            self.0.push(Problem { path: path.clone(), place, message: message.to_string() });
        }
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_inside_a_wrong_one_is_not_reported_again() {
        let (outer, inner) = (Path::root().key("pin"), Path::root().key("pin").key("idle"));
        let mut problems = Problems::default();
        problems.value(&outer, "is a string");
        problems.value(&inner, "is empty");
        assert_eq!(problems.as_slice().len(), 1);
        assert!(!problems.is_clean(&outer) && problems.is_clean(&Path::root().key("health")));
    }

    #[test]
    fn the_list_has_an_end() {
        let mut problems = Problems::default();
        for index in 0..1000 {
            problems.value(&Path::root().index(index), "is wrong");
        }
        assert_eq!(problems.as_slice().len(), Problems::MAX);
    }
}
