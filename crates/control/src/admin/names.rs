//! The names in the path of a request, percent-decoded and parsed.

use std::fmt::Display;
use std::str::FromStr;

use axum::extract::RawPathParams;
use axum::extract::rejection::RawPathParamsRejection;
use cutover_core::id::{BackendId, GateName, HoldName, ServiceName, VersionLabel};

use super::problem::Problem;

/// What a route finds in its path.
pub(crate) trait FromPath: Sized + Send {
    /// Parses the names.
    ///
    /// # Errors
    /// 422 for a name that can't be one.
    fn from_path(names: &RawPathParams) -> Result<Self, Problem>;
}

/// The service of a route, if it has one and the name can be one.
pub(crate) fn service(names: &RawPathParams) -> Option<ServiceName> {
    find(names, "service").ok()?.parse().ok()
}

/// What is answered to a path that can't be decoded.
pub(crate) fn malformed(rejection: &RawPathParamsRejection) -> Problem {
    Problem::malformed("malformed_path", "path", rejection.body_text())
}

impl FromPath for () {
    fn from_path(_: &RawPathParams) -> Result<Self, Problem> {
        Ok(())
    }
}

macro_rules! named {
    ($($type:ty => $name:literal),* $(,)?) => {$(
        impl FromPath for $type {
            fn from_path(names: &RawPathParams) -> Result<Self, Problem> {
                parse(names, $name)
            }
        }
    )*};
}
named! {
    ServiceName => "service",
    BackendId => "backend",
    VersionLabel => "version",
    GateName => "gate",
    HoldName => "hold",
}

impl<A: FromPath, B: FromPath> FromPath for (A, B) {
    fn from_path(names: &RawPathParams) -> Result<Self, Problem> {
        Ok((A::from_path(names)?, B::from_path(names)?))
    }
}

impl<A: FromPath, B: FromPath, C: FromPath> FromPath for (A, B, C) {
    fn from_path(names: &RawPathParams) -> Result<Self, Problem> {
        Ok((A::from_path(names)?, B::from_path(names)?, C::from_path(names)?))
    }
}

fn parse<T: FromStr<Err: Display>>(names: &RawPathParams, name: &str) -> Result<T, Problem> {
    let text = find(names, name)?;
    text.parse().map_err(|error| Problem::nonsense(name, format!("{name} {text:?} {error}")))
}

fn find<'a>(names: &'a RawPathParams, name: &str) -> Result<&'a str, Problem> {
    let found = names.iter().find(|(key, _)| *key == name);
    // Only a route whose pattern lacks the name gets here; the tests visit every route.
    found.map(|(_, text)| text).ok_or_else(Problem::internal)
}
