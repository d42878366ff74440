//! The token by which the admin API knows who asks. Nothing that is printed has it.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use http::HeaderValue;

use super::error::Error;

/// A bearer token (RFC 6750).
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Bearer(String);

impl Bearer {
    /// The value of `Authorization`.
    ///
    /// # Errors
    /// It can't stand in a header.
    pub(crate) fn header(&self) -> Result<HeaderValue, Error> {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", self.0))
            .map_err(|_| Error::Usage("the token has characters that no token has".to_owned()))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl FromStr for Bearer {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bearer(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_printed_has_it() {
        let Ok(bearer) = "s3cret".parse::<Bearer>();
        let header = bearer.header().unwrap();
        assert_eq!(header, "Bearer s3cret");
        assert!(!format!("{bearer:?} {header:?}").contains("s3cret"));
        let Ok(broken) = "s3cret\n".parse::<Bearer>();
        assert!(!broken.header().unwrap_err().to_string().contains("s3cret"));
    }
}
