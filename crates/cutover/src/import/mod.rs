//! `cutover import`: makes a configuration of one of Apache httpd, nginx or HAProxy, and says everything that it could not carry over.
//!
//! Each source has a folder: a lexer makes a tree of directives (`tree`), and what these mean goes into a `draft`. What follows is the
//! same for all: routes get one owner and values that cutover would refuse are taken out (`settle`), and the rest is written (`write`).
//! A directive that nobody understood is in no `Ledger`, and gets a note: nothing is dropped silently.

mod apache;
mod draft;
mod error;
mod files;
mod haproxy;
mod nginx;
mod note;
mod options;
mod pattern;
mod settle;
mod target;
#[cfg(test)]
mod tests;
mod tree;
mod value;
mod write;

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::Path;

use serde_json::{Value, json};

use self::draft::Draft;
pub use self::error::ImportError;
use self::files::Files;
use self::note::{Kind, Note};
pub(crate) use self::options::Options;
pub use self::options::Source;
use self::tree::{Directive, Place, shown};
use crate::config;
use crate::ctl::Exit;
use crate::run::fail;

/// What came of an import.
#[derive(Debug)]
pub struct Imported {
    /// The configuration, as text.
    pub text: String,
    draft: Draft,
    files: Vec<String>,
}

/// Reads the configuration of `source` at `path` and writes it in the words of cutover.
///
/// # Errors
/// It can't be read, or it is not what it is said to be.
pub fn import(source: Source, path: &Path) -> Result<Imported, ImportError> {
    let mut files = Files::of(path);
    let (mut draft, read) = match source {
        Source::Apache => apache::import(&mut files)?,
        Source::Nginx => nginx::import(&mut files)?,
        Source::Haproxy => haproxy::import(&mut files)?,
    };
    tell_forgotten(&read, &mut draft);
    let name = path.display().to_string();
    let origin = Directive {
        place: Place { file: name.as_str().into(), line: 1, column: 1 },
        name: String::new(),
        args: Vec::new(),
        block: None,
        text: "the configuration".to_owned(),
    };
    settle::settle(&mut draft, &origin);
    let text = write::write(&draft, &format!("{} {}", source.as_str(), shown(&name)), files.names());
    config::check_text("the import", &text).map_err(ImportError::Refused)?;
    let files = files.names().iter().map(ToString::to_string).collect();
    Ok(Imported { text, draft, files })
}

/// What was read, and what there is to say about directives that nobody asked for.
struct Read {
    tree: Vec<Directive>,
    why: fn(&Directive) -> (Kind, &'static str),
}

/// `cutover import`: what it is told, done.
pub(crate) fn run(options: &Options, json: bool) -> Exit {
    match import_to(options, json) {
        Ok(()) => Exit::Done,
        Err(error) => fail(&error),
    }
}

fn import_to(options: &Options, json: bool) -> Result<(), ImportError> {
    if let Some(output) = options.output.as_ref().filter(|output| !options.force && output.exists()) {
        return Err(ImportError::Exists(output.clone()));
    }
    let imported = import(options.source, &options.file)?;
    let stdout = |text: &str| match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(ImportError::Write { path: "standard output".into(), source: error })
        }
        _ => Ok(()),
    };
    match &options.output {
        Some(output) => write_file(output, &imported.text, options.force)?,
        None if !json => stdout(&imported.text)?,
        None => {}
    }
    if json {
        return stdout(&format!("{:#}\n", imported.to_json()));
    }
    // Nobody to tell it to: the lines are in the file too.
    let _ = writeln!(io::stderr().lock(), "{}", imported.summary(options.output.as_deref()));
    Ok(())
}

fn write_file(path: &Path, text: &str, may_overwrite: bool) -> Result<(), ImportError> {
    let mut how = OpenOptions::new();
    how.write(true).create(may_overwrite).truncate(may_overwrite).create_new(!may_overwrite);
    let written = how.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => ImportError::Exists(path.to_owned()),
        _ => ImportError::Write { path: path.to_owned(), source },
    })
}

impl Imported {
    fn summary(&self, output: Option<&Path>) -> String {
        let count = |kind| write::count(&self.draft, kind);
        let some = |count: usize, what: &str| match count {
            1 => format!("1 {what}"),
            count => format!("{count} {what}s"),
        };
        let to = output.map(|path| format!(" to {}", path.display())).unwrap_or_default();
        format!(
            "{} and {} of {} written{to}; {} not carried over, {} with another meaning: see the comments",
            some(self.draft.listeners.iter().filter(|listener| !listener.is_off).count(), "listener"),
            some(self.draft.services.len(), "service"),
            some(self.files.len(), "file"),
            some(count(Kind::Lost), "thing"),
            count(Kind::Changed),
        )
    }

    fn to_json(&self) -> Value {
        let notes = write::all_notes(&self.draft).map(|note| {
            let kind = match note.kind {
                Kind::Lost => "not_carried_over",
                Kind::Changed => "changed",
                Kind::Moot => "not_needed",
            };
            let Place { file, line, column } = &note.place;
            json!({ "kind": kind, "file": &**file, "line": line, "column": column, "text": note.text, "why": note.why })
        });
        json!({
            "config": self.text,
            "files": self.files,
            "listeners": self.draft.listeners.iter().filter(|listener| !listener.is_off).count(),
            "services": self.draft.services.len(),
            "notes": notes.collect::<Vec<_>>(),
        })
    }
}

/// Says of every directive that is in no ledger and in no note that it is not carried over.
fn tell_forgotten(read: &Read, draft: &mut Draft) {
    let noted: BTreeSet<Place> = write::all_notes(draft).map(|note| note.place.clone()).collect();
    let mut left: Vec<&Directive> = read.tree.iter().rev().collect();
    while let Some(directive) = left.pop() {
        if draft.ledger.has_seen(directive) {
            left.extend(directive.inner().iter().rev());
        } else if !noted.contains(&directive.place) {
            let (kind, why) = (read.why)(directive);
            draft.notes.push(match kind {
                Kind::Lost => Note::lost(directive, why),
                Kind::Changed => Note::changed(directive, why),
                Kind::Moot => Note::moot(directive, why),
            });
        }
    }
}
