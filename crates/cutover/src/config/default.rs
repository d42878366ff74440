//! Defaults that depend on the machine.

use std::path::PathBuf;

use super::variable::Lookup;

/// The place of the state that packages give to it.
pub(super) const STATE_DIR: &str = "/var/lib/cutover";

/// Where the state is kept unless the file says so: the place that packages give to root, else the user's own.
///
/// `None` when there is no home directory either.
pub(super) fn state_dir(lookup: Lookup<'_>) -> Option<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return Some(PathBuf::from(STATE_DIR));
    }
    user_state_dir(lookup)
}

/// XDG Base Directory Specification: a relative path is ignored.
fn user_state_dir(lookup: Lookup<'_>) -> Option<PathBuf> {
    let directory = |variable: &str| lookup(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let state_home = directory("XDG_STATE_HOME").or_else(|| Some(directory("HOME")?.join(".local/state")))?;
    Some(state_home.join("cutover"))
}

/// The host name, which is this node's name unless the file gives one.
pub(super) fn node_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "localhost".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_of_a_user_lies_in_the_state_home() {
        let with = |state: &'static str, home: &'static str| {
            user_state_dir(&move |name| match name {
                "XDG_STATE_HOME" => Some(state.to_owned()),
                _ => Some(home.to_owned()),
            })
        };
        assert_eq!(with("/s", "/h"), Some("/s/cutover".into()));
        assert_eq!(with("", "/h"), Some("/h/.local/state/cutover".into()));
        assert_eq!(with("relative", "/h"), Some("/h/.local/state/cutover".into()));
        assert_eq!(with("", ""), None);
    }
}
