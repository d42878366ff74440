//! What is kept of accounts and certificates in the state directory: whole or not at all, and readable by nobody else.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};

use super::error::FileError;

/// Bytes of a file: a hundred times what one has.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The files of one certificate and its account.
#[derive(Debug)]
pub(super) struct Files {
    dir: PathBuf,
    account: PathBuf,
    certificate: PathBuf,
    orders: PathBuf,
}

impl Files {
    /// Those in `state_dir` for what `directory` issues for `domains`. Other domains are another certificate, another directory is
    /// another account.
    pub(super) fn new(state_dir: &Path, directory: &str, domains: &[String]) -> Self {
        let dir = state_dir.join("acme");
        let mut sorted: Vec<&str> = domains.iter().map(String::as_str).collect();
        sorted.sort_unstable();
        sorted.dedup();
        let account = dir.join(format!("account-{}.json", name([directory])));
        let names = name([&[directory], &sorted[..]].concat());
        let certificate = dir.join(format!("certificate-{names}.pem"));
        let orders = dir.join(format!("orders-{names}"));
        Self { dir, account, certificate, orders }
    }

    /// The credentials of the account, if there is one.
    pub(super) fn account(&self) -> Result<Option<Vec<u8>>, FileError> {
        read(&self.account)
    }

    /// The private key and the certificates, as PEM in one file, so that none is ever without the other.
    pub(super) fn certificate(&self) -> Result<Option<Vec<u8>>, FileError> {
        read(&self.certificate)
    }

    /// When the orders of the last hour were placed. What is no time of one is passed over.
    pub(super) fn orders(&self) -> Result<Vec<SystemTime>, FileError> {
        let text = read(&self.orders)?.unwrap_or_default();
        let seconds =
            String::from_utf8_lossy(&text).lines().map(str::parse).flat_map(Result::ok).collect::<Vec<_>>();
        Ok(seconds.into_iter().filter_map(|at| UNIX_EPOCH.checked_add(Duration::from_secs(at))).collect())
    }

    /// Keeps them: authorities count over restarts too.
    pub(super) fn keep_orders<'a>(
        &self,
        orders: impl Iterator<Item = &'a SystemTime>,
    ) -> Result<(), FileError> {
        let seconds = orders.filter_map(|at| at.duration_since(UNIX_EPOCH).ok());
        let lines: String = seconds.map(|at| format!("{}\n", at.as_secs())).collect();
        self.write(&self.orders, lines.as_bytes())
    }

    /// Keeps the credentials of the account.
    pub(super) fn keep_account(&self, credentials: &[u8]) -> Result<(), FileError> {
        self.write(&self.account, credentials)
    }

    /// Keeps the private key and the certificates.
    pub(super) fn keep_certificate(&self, pem: &[u8]) -> Result<(), FileError> {
        self.write(&self.certificate, pem)
    }

    /// Whoever reads `path`, at any time and after any crash, reads all of what was there before or all of `bytes`.
    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), FileError> {
        let draft = path.with_added_extension("new");
        let written = DirBuilder::new().recursive(true).mode(0o700).create(&self.dir).and_then(|()| {
            // One that a crash left behind may be readable by others.
            match fs::remove_file(&draft) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&draft, path)?;
            File::open(&self.dir)?.sync_all()
        });
        written.map_err(|source| FileError { path: path.to_owned(), source })
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut bytes));
    match read {
        Ok(_) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(FileError { path: path.to_owned(), source }),
    }
}

/// A name for what is told apart by `parts`: directories and domains have characters that file names can't have.
fn name<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn files(dir: &Path, domains: &[&str]) -> Files {
        let domains: Vec<String> = domains.iter().map(|&domain| domain.to_owned()).collect();
        Files::new(dir, "https://authority.test/directory", &domains)
    }

    #[test]
    fn what_is_kept_is_read_again_whatever_the_order_of_domains() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(files(dir.path(), &["a.test"]).certificate().unwrap(), None);
        files(dir.path(), &["a.test", "b.test"]).keep_certificate(b"pem").unwrap();
        assert_eq!(files(dir.path(), &["b.test", "a.test"]).certificate().unwrap().unwrap(), b"pem");
        assert_eq!(files(dir.path(), &["b.test"]).certificate().unwrap(), None);
        files(dir.path(), &["b.test"]).keep_account(b"key").unwrap();
        assert_eq!(files(dir.path(), &["a.test"]).account().unwrap().unwrap(), b"key");
    }

    #[test]
    fn orders_are_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let files = files(dir.path(), &["a.test"]);
        assert!(files.orders().unwrap().is_empty());
        let orders = [10, 20].map(|at| UNIX_EPOCH + Duration::from_secs(at));
        files.keep_orders(orders.iter()).unwrap();
        assert_eq!(files.orders().unwrap(), orders);
        fs::write(&files.orders, "10\nx\n-1\n99999999999999999999\n").unwrap();
        assert_eq!(files.orders().unwrap(), orders[..1]);
    }

    #[test]
    fn nobody_else_can_read_it_not_even_after_a_crash() {
        let dir = tempfile::tempdir().unwrap();
        let files = files(dir.path(), &["a.test"]);
        fs::create_dir(dir.path().join("acme")).unwrap();
        let draft = files.certificate.with_added_extension("new");
        fs::write(&draft, "half").unwrap();
        fs::set_permissions(&draft, fs::Permissions::from_mode(0o644)).unwrap();
        files.keep_certificate(b"pem").unwrap();
        assert_eq!(fs::metadata(&files.certificate).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!draft.exists());
    }

    #[test]
    fn what_can_not_be_read_says_where() {
        let dir = tempfile::tempdir().unwrap();
        let files = files(dir.path(), &["a.test"]);
        fs::create_dir_all(&files.certificate).unwrap();
        assert!(files.certificate().unwrap_err().to_string().contains("certificate-"));
    }
}
