//! The schema of a service's database: at which number it is, and with which numbers a version can work.

use std::fmt;

use crate::id::VersionLabel;
use crate::rejected::{Code, Reason, Rejected};
use crate::service::Service;
use crate::version::{Role, Version};

/// The number of a schema: whatever the app's migrations count by, a serial number or a date such as 20261123110835.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Schema(u64);

/// The schemas with which something can work; what it does not name has no bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SchemaRange {
    /// The first one.
    pub min: Option<Schema>,
    /// The last one.
    pub max: Option<Schema>,
}

/// Says at which schema the database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetSchema {
    /// The schema; `None` = nobody says any more, and no range is looked at.
    pub schema: Option<Schema>,
    /// Whether to believe it although a version that serves can't work with it.
    pub force: bool,
}

impl Schema {
    /// The largest number that every reader of JSON reads exactly (RFC 8259 section 6): 2^53 - 1.
    pub const MAX: Self = Self((1 << 53) - 1);

    /// A schema, if its number is at most [`MAX`](Self::MAX).
    #[must_use]
    pub fn new(number: u64) -> Option<Self> {
        Some(Self(number)).filter(|schema| *schema <= Self::MAX)
    }

    /// The number.
    #[must_use]
    pub const fn value(self) -> u64 {
        self.0
    }
}

impl SchemaRange {
    /// Every schema.
    pub const ANY: Self = Self { min: None, max: None };

    /// Whether `schema` lies in it.
    #[must_use]
    pub fn contains(self, schema: Schema) -> bool {
        self.min.is_none_or(|min| min <= schema) && self.max.is_none_or(|max| schema <= max)
    }

    /// Whether no schema lies in it.
    #[must_use]
    pub fn is_empty(self) -> bool {
        matches!((self.min, self.max), (Some(min), Some(max)) if min > max)
    }

    /// What lies in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            // `None` is the least of all options, and has to give way in both.
            min: self.min.max(other.min),
            max: match (self.max, other.max) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            },
        }
    }

    /// The schemas with which every backend of a version can work.
    #[must_use]
    pub fn of(service: &Service, label: &VersionLabel) -> Self {
        service.backends_of(label).fold(Self::ANY, |range, backend| range.and(backend.schema))
    }
}

/// Why a version can't work with the schema at which the database is, if it can't.
#[must_use]
pub fn out_of_range(service: &Service, label: &VersionLabel) -> Option<Reason> {
    let schema = service.schema?;
    let range = unfit(service, label, schema)?;
    let detail =
        format!("version {label} needs {range}, and the database of {} is at {schema}", service.name);
    Some(Reason::new(Code::SchemaOutOfRange, detail))
}

/// Why those versions that serve can't work with `schema`.
#[must_use]
pub fn objections(service: &Service, schema: Schema) -> Vec<Reason> {
    let serving = service.versions.values().filter(|version| serves(version));
    let reason = |Version { label, role, .. }: &Version| {
        let range = unfit(service, label, schema)?;
        let detail = format!("version {label} is {role} and needs {range}, not {schema}");
        Some(Reason::new(Code::SchemaOutOfRange, detail))
    };
    serving.filter_map(|version| reason(version)).collect()
}

pub(crate) fn set(service: &mut Service, request: &SetSchema) -> Result<(), Rejected> {
    if let Some(schema) = request.schema.filter(|_| !request.force) {
        Rejected::if_any(objections(service, schema))?;
    }
    service.schema = request.schema;
    Ok(())
}

fn serves(version: &Version) -> bool {
    matches!(version.role, Role::Active | Role::Canary | Role::Draining)
}

/// What a version needs, if `schema` is not it.
fn unfit(service: &Service, label: &VersionLabel, schema: Schema) -> Option<SchemaRange> {
    Some(SchemaRange::of(service, label)).filter(|range| !range.contains(schema))
}

impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// As the end of "needs …".
impl fmt::Display for SchemaRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.min, self.max) {
            (None, None) => f.write_str("any schema"),
            (Some(min), None) => write!(f, "schema {min} or later"),
            (None, Some(max)) => write!(f, "schema {max} or earlier"),
            (Some(min), Some(max)) if min == max => write!(f, "schema {min}"),
            (Some(min), Some(max)) if min > max => {
                write!(f, "schema {min} or later and {max} or earlier, because its backends do not agree")
            }
            (Some(min), Some(max)) => write!(f, "a schema from {min} to {max}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bound() -> impl Strategy<Value = Option<Schema>> {
        prop::option::of((0_u64..6).prop_map(Schema))
    }

    fn range() -> impl Strategy<Value = SchemaRange> {
        (bound(), bound()).prop_map(|(min, max)| SchemaRange { min, max })
    }

    proptest! {
        #[test]
        fn what_lies_in_both_lies_in_each(a in range(), b in range(), schema in 0_u64..7) {
            let schema = Schema(schema);
            prop_assert_eq!(a.and(b).contains(schema), a.contains(schema) && b.contains(schema));
        }

        #[test]
        fn nothing_lies_in_an_empty_range(range in range(), schema in 0_u64..7) {
            prop_assert!(!range.is_empty() || !range.contains(Schema(schema)));
        }
    }

    #[test]
    fn a_number_beyond_what_json_can_say_is_none() {
        assert_eq!(Schema::new(Schema::MAX.value()), Some(Schema::MAX));
        assert_eq!(Schema::new(Schema::MAX.value() + 1), None);
    }
}
