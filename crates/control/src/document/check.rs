//! Reads the values of one table into types, and notes what makes no sense.
//!
//! A value that makes no sense reads as a stand-in, so that the rest of the table is checked all the same; whoever asked for the
//! checks throws the result away when there are problems.

use std::fmt::Display;
use std::str::FromStr;

use cutover_core::policy::Share;
use cutover_core::time::Millis;

use super::path::Path;
use super::problem::Problems;
use super::scalar;

/// The table at one path, under check.
#[derive(Debug)]
pub struct Check<'a> {
    at: Path,
    problems: &'a mut Problems,
}

impl<'a> Check<'a> {
    /// Checks the table at `at`.
    #[must_use]
    pub const fn new(at: Path, problems: &'a mut Problems) -> Self {
        Self { at, problems }
    }

    /// Checks the table under `key` of this one.
    #[must_use]
    pub fn table(&mut self, key: &str) -> Check<'_> {
        Check { at: self.at.key(key), problems: self.problems }
    }

    /// Checks the table at place `index` of the list under `key`.
    #[must_use]
    pub fn element(&mut self, key: &str, index: usize) -> Check<'_> {
        Check { at: self.at.key(key).index(index), problems: self.problems }
    }

    /// The path of the value under `key`.
    #[must_use]
    pub fn path(&self, key: &str) -> Path {
        self.at.key(key)
    }

    /// Reports the value under `key`.
    pub fn wrong(&mut self, key: &str, message: impl Display) {
        self.problems.value(&self.at.key(key), message);
    }

    /// Reports the value at place `index` of the list under `key`.
    pub fn wrong_element(&mut self, key: &str, index: usize, message: impl Display) {
        self.problems.value(&self.at.key(key).index(index), message);
    }

    /// Whether nothing is known to be wrong with the values under `keys`.
    #[must_use]
    pub fn are_clean(&self, keys: &[&str]) -> bool {
        keys.iter().all(|key| self.problems.is_clean(&self.at.key(key)))
    }

    /// A duration.
    pub fn duration(&mut self, key: &str, text: &str) -> Millis {
        match scalar::duration(text) {
            Ok(span) => span,
            Err(error) => {
                self.wrong(key, error);
                Millis::ZERO
            }
        }
    }

    /// A duration that must not be shorter than `min`.
    pub fn duration_from(&mut self, key: &str, text: &str, min: Millis) -> Millis {
        let span = self.duration(key, text);
        if span < min && self.are_clean(&[key]) {
            self.wrong(key, format_args!("is {text:?}; must be at least \"{min}\""));
        }
        span
    }

    /// A size in bytes.
    pub fn size(&mut self, key: &str, text: &str) -> u64 {
        match scalar::size(text) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.wrong(key, error);
                0
            }
        }
    }

    /// A size in bytes from `min` to `max`.
    pub fn size_within(&mut self, key: &str, text: &str, min: u64, max: u64) -> u64 {
        let bytes = self.size(key, text);
        if !(min..=max).contains(&bytes) && self.are_clean(&[key]) {
            let (min, max) = (scalar::write_size(min), scalar::write_size(max));
            self.wrong(key, format_args!("is {text:?}; must be from {min:?} to {max:?}"));
        }
        bytes
    }

    /// A number from 0 to 1.
    pub fn share(&mut self, key: &str, value: f64) -> Share {
        Share::new(value).unwrap_or_else(|| {
            self.wrong(key, format_args!("is {value}; must be a number from 0 to 1"));
            Share::ALL
        })
    }

    /// Anything that says itself what is wrong with a text.
    pub fn parse<T: FromStr<Err: Display>>(&mut self, key: &str, text: &str) -> Option<T> {
        text.parse().map_err(|error| self.wrong(key, error)).ok()
    }

    /// Every element of a list by `read`; each error is reported at its place.
    pub fn list<T, E: Display>(
        &mut self,
        key: &str,
        items: &[String],
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Vec<T> {
        let mut values = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            match items[..index].iter().position(|other| other == item) {
                Some(first) => {
                    self.wrong_element(
                        key,
                        index,
                        format_args!("repeats element {first}, {item:?}; remove it"),
                    );
                }
                None => match read(item) {
                    Ok(value) => values.push(value),
                    Err(error) => self.wrong_element(key, index, error),
                },
            }
        }
        values
    }
}
