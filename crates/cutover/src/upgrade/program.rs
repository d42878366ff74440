//! What is started when the proxy is upgraded: the path by which this process was started, whatever lies there by then.

use std::env;
use std::ffi::OsString;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::{Child, Command};

use super::VARIABLE;

/// Variables that tell one process something that is not true for the next.
const OF_THIS_PROCESS: [&str; 4] = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID"];

/// The program of this process and its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    path: PathBuf,
    name: OsString,
    arguments: Vec<OsString>,
}

impl Program {
    /// As it was started. To be called before anything changes the working directory. Links are not followed: who upgrades by setting
    /// one to another file gets that.
    ///
    /// # Errors
    /// The system does not tell.
    pub(crate) fn of_this_process() -> io::Result<Self> {
        let mut arguments = env::args_os();
        let name = arguments.next().unwrap_or_default();
        let found = resolve(Path::new(&name), env::var_os("PATH"))?;
        let path = found.map_or_else(env::current_exe, Ok)?;
        Ok(Self { path, name, arguments: arguments.collect() })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Starts it again, with the same arguments, environment and streams, to replace the process that listens at `address`.
    ///
    /// # Errors
    /// It can't be started.
    pub(super) fn start(&self, address: &str) -> io::Result<Child> {
        let mut command = Command::new(&self.path);
        command.arg0(&self.name).args(&self.arguments).env(VARIABLE, address);
        for variable in OF_THIS_PROCESS {
            command.env_remove(variable);
        }
        command.stdin(Stdio::inherit()).spawn()
    }
}

/// The file that a shell would run by this name; `None` if there is none.
fn resolve(name: &Path, path: Option<OsString>) -> io::Result<Option<PathBuf>> {
    if name.components().count() > 1 || name.is_absolute() {
        return Ok(Some(std::path::absolute(name)?).filter(|file| is_program(file)));
    }
    if name.as_os_str().is_empty() {
        return Ok(None);
    }
    let directories = path.map(|path| env::split_paths(&path).collect::<Vec<_>>()).unwrap_or_default();
    let found = directories.into_iter().map(|directory| directory.join(name)).find(|file| is_program(file));
    found.map(std::path::absolute).transpose()
}

fn is_program(file: &Path) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_up_as_a_shell_does() {
        let dir = tempfile::tempdir().unwrap();
        let [program, other] = ["cutover", "notes"].map(|name| dir.path().join(name));
        std::fs::write(&program, "").unwrap();
        std::fs::write(&other, "").unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let path = Some(OsString::from(format!("/nowhere:{}", dir.path().display())));
        let found = |name: &str| resolve(Path::new(name), path.clone()).unwrap();

        assert_eq!(found("cutover"), Some(program.clone()));
        assert_eq!(found("notes"), None);
        assert_eq!(found(""), None);
        assert_eq!(found(program.to_str().unwrap()), Some(program));
    }

    #[test]
    fn a_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("cutover-1"), dir.path().join("cutover"));
        std::fs::write(&file, "").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(resolve(&link, None).unwrap(), Some(link));
    }
}
