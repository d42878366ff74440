//! The user that a process becomes when root has started it, and may not leave again.

use std::ffi::CString;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};
use std::path::{Path, PathBuf};

use nix::sys::prctl;
use nix::unistd::{Gid, Group, Uid, User, getresgid, getresuid, initgroups, setgroups, setresgid, setresuid};

/// A user and its groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    /// As it was asked for.
    name: String,
    uid: Uid,
    gid: Gid,
    /// The name under which the system knows its other groups; `None` = it has no others.
    member: Option<CString>,
}

/// Why a process can't be an account's.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccountError {
    #[error("node.user is {0:?}, and there is no such user")]
    NoUser(String),
    #[error("node.group is {0:?}, and there is no such group")]
    NoGroup(String),
    #[error("node.user is {0}, a number without an account: name its group in node.group")]
    GroupNeeded(Uid),
    #[error("node.user is {user}, whom only root can become, and this process runs as uid {uid}")]
    NotRoot { user: String, uid: Uid },
    #[error(
        "state_dir {} belongs to uid {owner}, not to {user}: `chown -R {user} {}`, or name another one",
        path.display(),
        path.display()
    )]
    StateDir { path: PathBuf, owner: u32, user: String },
    #[error("can't make {} for {user}", path.display())]
    MakeStateDir { path: PathBuf, user: String, source: io::Error },
    #[error("can't become {user}")]
    Change { user: String, source: io::Error },
    #[error("can't give up what {user} does not need")]
    Confine { user: String, source: io::Error },
}

impl Account {
    /// The account of this user, by name or number, and with this group instead of its own ones.
    ///
    /// # Errors
    /// Nobody knows them.
    pub(crate) fn find(user: &str, group: Option<&str>) -> Result<Self, AccountError> {
        let group = group.map(gid).transpose()?;
        let unknown = || AccountError::NoUser(user.to_owned());
        // A system that can't answer knows nobody.
        let known = User::from_name(user).ok().flatten();
        let number = || user.parse().ok().map(Uid::from_raw);
        let known = known.or_else(|| User::from_uid(number()?).ok().flatten());
        let name = user.to_owned();
        match (known, group) {
            (Some(known), None) => {
                let member = Some(CString::new(known.name).map_err(|_| unknown())?);
                Ok(Self { name, uid: known.uid, gid: known.gid, member })
            }
            (Some(known), Some(gid)) => Ok(Self { name, uid: known.uid, gid, member: None }),
            (None, Some(gid)) => Ok(Self { name, uid: number().ok_or_else(unknown)?, gid, member: None }),
            (None, None) => Err(number().map_or_else(unknown, AccountError::GroupNeeded)),
        }
    }

    /// Whether this process is to become it; `false` = it is already.
    ///
    /// # Errors
    /// It is not, and can't.
    pub(crate) fn is_to_become(&self) -> Result<bool, AccountError> {
        match Uid::effective() {
            uid if uid == self.uid => Ok(false),
            uid if uid.is_root() => Ok(true),
            uid => Err(AccountError::NotRoot { user: self.name.clone(), uid }),
        }
    }

    /// Makes a directory for it alone, or sees that the one which is there is its own: what others have written is not taken from them.
    ///
    /// # Errors
    /// It is somebody else's, or can't be made.
    pub(crate) fn own(&self, path: &Path) -> Result<(), AccountError> {
        let user = || self.name.clone();
        let unmade = |source| AccountError::MakeStateDir { path: path.to_owned(), user: user(), source };
        match path.metadata() {
            Ok(metadata) if metadata.uid() == self.uid.as_raw() => Ok(()),
            Ok(metadata) => {
                Err(AccountError::StateDir { path: path.to_owned(), owner: metadata.uid(), user: user() })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
                parent.map_or(Ok(()), std::fs::create_dir_all).map_err(unmade)?;
                std::fs::DirBuilder::new().mode(0o700).create(path).map_err(unmade)?;
                chown(path, Some(self.uid.as_raw()), Some(self.gid.as_raw())).map_err(unmade)
            }
            Err(error) => Err(unmade(error)),
        }
    }

    /// Becomes it, with all threads and for good.
    ///
    /// # Errors
    /// The system refused; nothing that has to be unprivileged may run then.
    pub(crate) fn enter(&self) -> Result<(), AccountError> {
        let refused = |source| AccountError::Change { user: self.name.clone(), source };
        let changed = match &self.member {
            Some(member) => initgroups(member, self.gid),
            None => setgroups(&[self.gid]),
        };
        // Groups before the user: afterwards it may not change them any more.
        let changed = changed
            .and_then(|()| setresgid(self.gid, self.gid, self.gid))
            .and_then(|()| setresuid(self.uid, self.uid, self.uid));
        changed.map_err(|errno| refused(errno.into()))?;
        if self.is_entered() {
            Ok(())
        } else {
            Err(refused(io::Error::other("it is root's still, or could be again")))
        }
    }

    /// Whether this process is its, in every respect, and stays so.
    fn is_entered(&self) -> bool {
        let users = getresuid().is_ok_and(|ids| [ids.real, ids.effective, ids.saved] == [self.uid; 3]);
        let groups = getresgid().is_ok_and(|ids| [ids.real, ids.effective, ids.saved] == [self.gid; 3]);
        let root = Uid::from_raw(0);
        users && groups && (self.uid == root || setresuid(root, root, root).is_err())
    }

    /// Sees to it that nothing this process starts has more rights than it, and that nobody finds its secrets in a core dump or by looking into its memory.
    ///
    /// # Errors
    /// The system refused.
    pub(crate) fn confine(&self) -> Result<(), AccountError> {
        let confined = prctl::set_no_new_privs().and_then(|()| prctl::set_dumpable(false));
        confined.map_err(|errno| AccountError::Confine { user: self.name.clone(), source: errno.into() })
    }
}

fn gid(group: &str) -> Result<Gid, AccountError> {
    let known = Group::from_name(group).ok().flatten().map(|known| known.gid);
    let number = || group.parse().ok().map(Gid::from_raw);
    known.or_else(number).ok_or_else(|| AccountError::NoGroup(group.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_have_names_and_numbers() {
        let root = Account::find("root", None).unwrap();
        assert_eq!((root.uid.as_raw(), root.gid.as_raw()), (0, 0));
        assert_eq!(Account::find("0", None).unwrap().uid, root.uid);
        let nobody_s = Account::find("4000123", Some("4000124")).unwrap();
        assert_eq!(
            (nobody_s.uid.as_raw(), nobody_s.gid.as_raw(), &nobody_s.member),
            (4_000_123, 4_000_124, &None)
        );
        assert_eq!(Account::find("0", Some("root")).unwrap().member, None, "the group is its only one");
    }

    #[test]
    fn what_is_no_account_is_told_apart() {
        let error = |user, group| Account::find(user, group).unwrap_err().to_string();
        assert_eq!(error("no-such-user", None), "node.user is \"no-such-user\", and there is no such user");
        assert_eq!(
            error("root", Some("no-such-group")),
            "node.group is \"no-such-group\", and there is no such group"
        );
        assert!(error("4000123", None).contains("name its group"));
        assert!(error("-1", Some("0")).contains("no such user"));
        assert!(error("a\0b", None).contains("no such user"));
    }

    #[test]
    fn a_directory_of_somebody_else_is_left_to_him() {
        let directory = tempfile::tempdir().unwrap();
        let stranger = Account::find("4000123", Some("4000124")).unwrap();
        let refused = stranger.own(directory.path()).unwrap_err().to_string();
        assert!(refused.contains("chown -R 4000123"), "{refused}");

        let ours = Account { uid: Uid::effective(), gid: Gid::effective(), ..stranger };
        let path = directory.path().join("a/b");
        ours.own(&path).unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o700);
        ours.own(&path).unwrap();
    }
}
