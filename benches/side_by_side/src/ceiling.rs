//! The file that keeps how many instructions a request takes, and how many it may.

use std::fs;
use std::path::Path;

use crate::error::{Doing as _, Error};

/// How far a ceiling may lie above its figure: what changes of compiler and library come to, and no more.
const ROOM: f64 = 1.03;

/// User instructions for one small request with its answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ceiling {
    /// What was counted when the file was last changed.
    pub(crate) figure: f64,
    /// What a run may count at most.
    pub(crate) ceiling: f64,
}

/// What the file has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ceilings {
    /// Of a request as a browser's script makes it.
    pub(crate) browser: Ceiling,
    /// Of one with the fields that can't be left out.
    pub(crate) lean: Ceiling,
}

/// What a count means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Kept,
    /// So far below that the file should say so, or the gain can get lost again unseen.
    Lower,
    Exceeded,
}

impl Ceilings {
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let text = fs::read_to_string(path).doing(format!("reading {}", path.display()))?;
        Self::parse(&text).map_err(|why| Error::Unusable(format!("{}: {why}", path.display())))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| error.to_string())?;
        let ceiling = |name: &str| {
            let of_name = table.get(name).and_then(toml::Value::as_table);
            Ceiling::parse(of_name.ok_or_else(|| format!("[{name}] is missing"))?)
                .map_err(|why| format!("[{name}]: {why}"))
        };
        Ok(Self { browser: ceiling("browser")?, lean: ceiling("lean")? })
    }
}

impl Ceiling {
    pub(crate) fn judge(self, counted: f64) -> Verdict {
        match counted {
            counted if counted > self.ceiling => Verdict::Exceeded,
            counted if counted * ROOM < self.figure => Verdict::Lower,
            _ => Verdict::Kept,
        }
    }

    fn parse(table: &toml::Table) -> Result<Self, String> {
        let number = |key: &str| {
            let value =
                table.get(key).and_then(toml::Value::as_integer).and_then(|value| u32::try_from(value).ok());
            value.map(f64::from).ok_or_else(|| format!("`{key}` must be a number of instructions"))
        };
        let ceiling = Self { figure: number("figure")?, ceiling: number("ceiling")? };
        if ceiling.ceiling > ceiling.figure * ROOM {
            return Err(format!(
                "the ceiling is more than {ROOM} times the figure: raise both, and say why in the commit"
            ));
        }
        Ok(ceiling)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Ceiling, String> {
        Ceiling::parse(&text.parse().unwrap())
    }

    #[test]
    fn a_count_is_judged_by_ceiling_and_figure() {
        let ceiling = parse("figure = 10000\nceiling = 10300").unwrap();
        assert_eq!(ceiling.judge(10_300.0), Verdict::Kept);
        assert_eq!(ceiling.judge(10_301.0), Verdict::Exceeded);
        assert_eq!(ceiling.judge(9_800.0), Verdict::Kept);
        assert_eq!(ceiling.judge(9_600.0), Verdict::Lower);
    }

    #[test]
    fn a_ceiling_can_not_be_raised_by_itself() {
        assert!(parse("figure = 10000\nceiling = 10301").is_err());
        assert!(parse("figure = 10000").is_err());
        assert!(parse("figure = -1\nceiling = 1").is_err());
    }

    #[test]
    fn the_kept_file_can_be_read() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../instructions.toml");
        assert!(Ceilings::read(&path).is_ok());
        assert!(Ceilings::parse("[lean]\nfigure = 1\nceiling = 1").unwrap_err().contains("[browser]"));
    }
}
