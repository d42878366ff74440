//! The query of a request: every parameter is known and stands once, or the request is refused by its name.

use std::collections::BTreeMap;
use std::str::FromStr;

use axum::extract::Query;
use cutover_core::id::Revision;
use cutover_core::time::Millis;
use http::Uri;

use super::problem::Problem;
use crate::document::scalar;

/// Longest wait that a caller may ask for.
pub(crate) const WAIT_MAX: Millis = Millis::from_secs(3600);
/// Wait of a caller who names none.
const WAIT_DEFAULT: Millis = Millis::from_secs(30);

/// The largest number that every JSON library reads (int64).
const NUMBER_MAX: u64 = i64::MAX.unsigned_abs();

/// Entries that a caller gets who names no number.
const LIMIT_DEFAULT: usize = 100;
/// Most entries that a caller may ask for at a time.
const LIMIT_MAX: usize = 1000;

/// What a route finds in its query.
pub(crate) trait FromQuery: Sized + Send {
    /// Takes what it knows; what is left is refused.
    ///
    /// # Errors
    /// 400 for a malformed value, 422 for one that makes no sense.
    fn from_query(query: &mut Parameters) -> Result<Self, Problem>;
}

/// The parameters of one query.
#[derive(Debug)]
pub(crate) struct Parameters(BTreeMap<String, String>);

/// Reads the whole query.
pub(crate) fn read<T: FromQuery>(uri: &Uri) -> Result<T, Problem> {
    let pairs: Query<Vec<(String, String)>> = Query::try_from_uri(uri)
        .map_err(|error| Problem::malformed("malformed_query", "query", error.body_text()))?;
    let mut parameters = BTreeMap::new();
    for (name, value) in pairs.0 {
        if parameters.insert(name.clone(), value).is_some() {
            let detail = format!("parameter {name:?} stands twice in the query");
            return Err(Problem::malformed("duplicate_parameter", &name, detail));
        }
    }
    let mut parameters = Parameters(parameters);
    let value = T::from_query(&mut parameters)?;
    match parameters.0.keys().next() {
        None => Ok(value),
        Some(unknown) => {
            let detail = format!("there is no parameter {unknown:?} here");
            Err(Problem::malformed("unknown_parameter", unknown, detail))
        }
    }
}

impl Parameters {
    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    /// A whole number.
    pub(crate) fn number(&mut self, name: &str) -> Result<Option<u64>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|number| is_plain && *number <= NUMBER_MAX);
        number.map(Some).ok_or_else(|| {
            let detail = format!("{name} is {text:?}; must be a whole number up to {NUMBER_MAX}");
            Problem::malformed("malformed_parameter", name, detail)
        })
    }

    /// `true` or `false`, which it is when it is not given.
    pub(crate) fn flag(&mut self, name: &str) -> Result<bool, Problem> {
        match self.text(name).as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => {
                let detail = format!("{name} is {other:?}; must be true or false");
                Err(Problem::malformed("malformed_parameter", name, detail))
            }
        }
    }

    /// How many entries of a list are wanted at a time.
    pub(crate) fn limit(&mut self) -> Result<usize, Problem> {
        let Some(number) = self.number("limit")? else { return Ok(LIMIT_DEFAULT) };
        let limit = usize::try_from(number).ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
        limit.ok_or_else(|| {
            Problem::nonsense("limit", format!("limit is {number}; must be from 1 to {LIMIT_MAX}"))
        })
    }

    /// A duration of at most `max`.
    pub(crate) fn duration(&mut self, name: &str, max: Millis) -> Result<Option<Millis>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        match scalar::duration(&text) {
            Err(error) => Err(Problem::malformed("malformed_parameter", name, format!("{name}: {error}"))),
            Ok(span) if span > max => {
                Err(Problem::nonsense(name, format!("{name} is \"{span}\"; must be at most \"{max}\"")))
            }
            Ok(span) => Ok(Some(span)),
        }
    }

    /// A name or label.
    pub(crate) fn name<T: FromStr<Err: std::fmt::Display>>(
        &mut self,
        name: &str,
    ) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|error| Problem::nonsense(name, format!("{name} {text:?} {error}")))
    }

    /// How long a caller wants to wait.
    pub(crate) fn timeout(&mut self) -> Result<Millis, Problem> {
        Ok(self.duration("timeout", WAIT_MAX)?.unwrap_or(WAIT_DEFAULT))
    }
}

impl FromQuery for () {
    fn from_query(_: &mut Parameters) -> Result<Self, Problem> {
        Ok(())
    }
}

/// `?revision=N&timeout=30s`: answer when the state is newer, or when the time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fresh {
    /// The revision that the caller has seen.
    pub(crate) newer_than: Option<Revision>,
    /// How long to wait for a newer one.
    pub(crate) timeout: Millis,
}

impl FromQuery for Fresh {
    fn from_query(query: &mut Parameters) -> Result<Self, Problem> {
        let newer_than = query.number("revision")?.map(Revision);
        Ok(Self { newer_than, timeout: query.timeout()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh(query: &str) -> Result<Fresh, u16> {
        let uri: Uri = format!("/v1/services?{query}").parse().unwrap();
        read(&uri).map_err(|problem| problem.status().as_u16())
    }

    #[test]
    fn a_query_is_read() {
        let expected = Fresh { newer_than: Some(Revision(7)), timeout: Millis(1500) };
        assert_eq!(fresh("revision=7&timeout=1s500ms"), Ok(expected));
        assert_eq!(fresh(""), Ok(Fresh { newer_than: None, timeout: WAIT_DEFAULT }));
    }

    #[test]
    fn what_is_unknown_double_or_malformed_is_refused() {
        for query in
            ["rev=1", "revision=1&revision=2", "revision=x", "revision=%2B1", "revision=", "timeout=soon"]
        {
            assert_eq!(fresh(query), Err(400), "{query}");
        }
        assert_eq!(fresh("timeout=2h"), Err(422));
    }
}
