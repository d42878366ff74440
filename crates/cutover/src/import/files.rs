//! The files that are read: the one that was named, and those that it includes.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::error::ImportError;
use super::tree::Place;

/// Files of one configuration; Debian's Apache with all its modules has about 150.
const FILES_MAX: usize = 1000;
/// Bytes of all of them.
const BYTES_MAX: u64 = 4 << 20;
/// Directives of all of them. Each may become a line of comment, and the result has to be one that can be read.
const DIRECTIVES_MAX: usize = 50_000;
/// Files that include each other.
pub(super) const DEPTH_MAX: usize = 16;

/// Reads files, and remembers which.
#[derive(Debug)]
pub(super) struct Files {
    /// The directory of the main file, which names in the configuration are relative to.
    base: PathBuf,
    /// The file that was named, and how it was.
    main: PathBuf,
    /// The directory that they may be relative to, too.
    root: Option<PathBuf>,
    names: Vec<Rc<str>>,
    bytes: u64,
    directives: usize,
}

impl Files {
    /// For the configuration at `main`.
    pub(super) fn of(main: &Path) -> Self {
        let absolute = std::path::absolute(main).unwrap_or_else(|_| main.to_owned());
        let base = absolute.parent().map_or_else(|| PathBuf::from("/"), Path::to_owned);
        Self { base, main: main.to_owned(), root: None, names: Vec::new(), bytes: 0, directives: 0 }
    }

    /// The names of all files that were read, in that order.
    pub(super) fn names(&self) -> &[Rc<str>] {
        &self.names
    }

    /// Looks for names that are not beside the main file in `directory`, too.
    pub(super) fn look_in(&mut self, directory: &str) {
        self.root = Some(self.base.join(directory));
    }

    /// A file that the configuration names, as an absolute path.
    pub(super) fn absolute(&self, name: &str) -> String {
        let beside = self.base.join(name);
        match self.root.as_ref().map(|root| root.join(name)).filter(|path| path.exists() && !beside.exists())
        {
            Some(path) => path.display().to_string(),
            None => beside.display().to_string(),
        }
    }

    /// The text of the file that was named.
    ///
    /// # Errors
    /// It can't be read.
    pub(super) fn read_main(&mut self) -> Result<(Rc<str>, String), ImportError> {
        let path = self.main.clone();
        let wrong = |source| ImportError::Read { path: path.clone(), source };
        self.read(&path).map_err(wrong)
    }

    /// Counts a directive.
    ///
    /// # Errors
    /// It is one too many.
    pub(super) fn count(&mut self, place: &Place) -> Result<(), ImportError> {
        self.directives += 1;
        if self.directives > DIRECTIVES_MAX {
            return Err(ImportError::at(place, format!("this is one more than {DIRECTIVES_MAX} directives")));
        }
        Ok(())
    }

    /// The name and the text of a file. Bytes that are no UTF-8, as old comments have them, are replaced.
    ///
    /// # Errors
    /// It can't be read, is no file, or is one too many.
    pub(super) fn read(&mut self, path: &Path) -> io::Result<(Rc<str>, String)> {
        let is_file = std::fs::metadata(path)?.is_file();
        if !is_file {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file"));
        }
        if self.names.len() >= FILES_MAX {
            return Err(io::Error::other(format!("it is one more than {FILES_MAX} files")));
        }
        let mut bytes = Vec::new();
        let left = BYTES_MAX - self.bytes;
        File::open(path)?.take(left + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > left {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "there are more than 4 MiB"));
        }
        self.bytes += bytes.len() as u64;
        let name: Rc<str> = self.name_of(path).into();
        self.names.push(name.clone());
        Ok((name, String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// The files that `pattern` names, in the order of their names.
    ///
    /// # Errors
    /// It names one that is not there, or it is no pattern.
    pub(super) fn matching(&self, pattern: &str) -> Result<Vec<PathBuf>, String> {
        let found = self.matching_in(&self.base, pattern);
        match &self.root {
            Some(root) if found.as_ref().map_or(true, Vec::is_empty) => self.matching_in(root, pattern),
            _ => found,
        }
    }

    fn matching_in(&self, base: &Path, pattern: &str) -> Result<Vec<PathBuf>, String> {
        let path = base.join(pattern);
        if !pattern.contains(['*', '?', '[']) {
            return if path.exists() { self.within(path) } else { Err("there is no such file".to_owned()) };
        }
        if pattern.contains("**") {
            return Err("a pattern over directories and all below is not followed".to_owned());
        }
        let text = path.to_str().ok_or("it is no text")?;
        let found = glob::glob(text).map_err(|error| error.to_string())?;
        let found: Vec<_> = found.take(FILES_MAX).filter_map(Result::ok).collect();
        Ok(found.into_iter().filter(|path| path.is_file()).collect())
    }

    /// A directory stands for the files in it, as Apache has it.
    fn within(&self, path: PathBuf) -> Result<Vec<PathBuf>, String> {
        if !path.is_dir() {
            return Ok(vec![path]);
        }
        let entries = std::fs::read_dir(&path).map_err(|error| error.to_string())?;
        let mut found: Vec<_> = entries
            .take(FILES_MAX)
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| path.is_file())
            .collect();
        found.sort();
        Ok(found)
    }

    /// The name of a file in what is said: that of the main one as it was given, others by their way from its directory.
    fn name_of(&self, path: &Path) -> String {
        let beside = self.main.parent().and_then(|directory| std::path::absolute(directory).ok());
        let short = beside.as_ref().and_then(|directory| path.strip_prefix(directory).ok());
        super::tree::shown(&short.unwrap_or(path).display().to_string())
    }
}
