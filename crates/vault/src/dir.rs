//! The directory of one vault: its files, and what a crash may have left among them.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::asset::{Asset, Key};
use crate::file::{self, Broken, Head};

/// What a file is called while it is written.
const UNFINISHED: &str = ".unfinished";

/// A directory that only this process writes into.
#[derive(Debug)]
pub(crate) struct Dir(PathBuf);

/// What a look at one file found.
pub(crate) enum Found {
    /// An asset, whose body was not looked at, and when it was used last: milliseconds since 1970.
    Asset(Box<Head>, u64),
    /// Something that is none, under a name of ours.
    Broken(String, Broken),
}

impl Dir {
    pub(crate) const fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes an asset in place of whatever has its name. Nobody can see half of it, also after a crash: its bytes are on disk before its name
    /// is. Answers how many bytes it has.
    pub(crate) fn write(&self, asset: &Asset, body_sum: &[u8; 32]) -> io::Result<u64> {
        let front = file::front(asset, body_sum);
        // Somebody may have cleaned up by hand.
        DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
        let path = self.0.join(file::name(&asset.key));
        let unfinished = path.with_extension(&UNFINISHED[1..]);
        let written = File::create(&unfinished).and_then(|mut file| {
            file.write_all(&front)?;
            file.write_all(&asset.body)?;
            file.sync_data()?;
            fs::rename(&unfinished, &path)
        });
        if written.is_err() {
            // The one that matters is the error of before.
            let _ = fs::remove_file(&unfinished);
        }
        written.map(|()| front.len() as u64 + asset.body.len() as u64)
    }

    /// Opens the file of an asset; `None` when there is none.
    pub(crate) fn open(&self, key: &Key) -> Option<(File, u64)> {
        let file = File::open(self.0.join(file::name(key))).ok()?;
        let length = file.metadata().ok().filter(fs::Metadata::is_file)?.len();
        Some((file, length))
    }

    /// Notes on disk when an asset was used, for the next start.
    pub(crate) fn used(&self, key: &Key, at: u64) -> io::Result<()> {
        let file = File::options().append(true).open(self.0.join(file::name(key)))?;
        file.set_modified(UNIX_EPOCH + Duration::from_millis(at))
    }

    pub(crate) fn remove(&self, key: &Key) -> io::Result<()> {
        self.remove_named(&file::name(key))
    }

    pub(crate) fn remove_named(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.0.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Looks at all files, without their bodies. What was never finished is removed; what has no name of ours is somebody else's.
    pub(crate) fn scan(&self, mut found: impl FnMut(Found)) -> io::Result<()> {
        let entries = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let Ok(name) = entry?.file_name().into_string() else { continue };
            if name.ends_with(UNFINISHED) {
                self.remove_named(&name)?;
            } else if file::is_name(&name) {
                found(match self.look(&name) {
                    Ok((head, used)) => Found::Asset(Box::new(head), used),
                    Err(broken) => Found::Broken(name, broken),
                });
            }
        }
        Ok(())
    }

    fn look(&self, name: &str) -> Result<(Head, u64), Broken> {
        let mut file = File::open(self.0.join(name))?;
        let metadata = file.metadata()?;
        let head = file::read_head(&mut file, metadata.len())?;
        if file::name(&head.asset.key) != name {
            return Err(Broken::Format);
        }
        let used = metadata.modified().unwrap_or(UNIX_EPOCH);
        Ok((head, millis(used)))
    }
}

fn millis(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
