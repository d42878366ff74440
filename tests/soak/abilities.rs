//! What this machine lets a run do, and what is therefore left out of it.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::place::APART;
use super::process::is_done;

/// Where Debian has the library that shows another time to a program.
const FAKETIME: &str = "faketime/libfaketimeMT.so.1";

/// Found out at the start.
#[derive(Clone, Debug, Default)]
pub(crate) struct Abilities {
    /// Networks and mounts of its own.
    pub(crate) is_apart: bool,
    /// The rules that answer with a reset.
    pub(crate) can_reset: bool,
    /// A file system of its own for the state, which can be full.
    pub(crate) can_fill: bool,
    /// A tracer that makes the disk slow.
    pub(crate) can_slow: bool,
    /// The library for other times.
    pub(crate) faketime: Option<PathBuf>,
    /// What is left out, and why.
    pub(crate) left_out: Vec<String>,
}

impl Abilities {
    /// Looks, and makes the place ready: its loopback is up, and what others read of it is empty.
    pub(crate) fn find(state: &Path, log: &Path) -> Self {
        let mut found = Self::default();
        let can = |program: &str, arguments: &[&str]| is_done(program, arguments, log);
        let state = state.to_string_lossy();
        if std::env::var_os(APART).is_some() {
            found.is_apart = can("ip", &["link", "set", "lo", "up"])
                && can("mount", &["-t", "tmpfs", "tmpfs", "/run"])
                && can("mkdir", &["/run/netns"])
                && can("mount", &["-t", "tmpfs", "tmpfs", "/dev/shm"]);
            found.can_fill = can("mount", &["-t", "tmpfs", "-o", "size=48m", "tmpfs", &state]);
            found.can_reset = found.is_apart && can("iptables", &["-w", "-L", "-n"]);
        }
        found.can_slow = can("strace", &["-e", "trace=none", "-o", "/dev/null", "true"]);
        found.faketime = faketime();
        let missing = [
            (!found.is_apart, "partitions: no namespaces, or no ip(8)"),
            (!found.can_reset, "resets: no namespaces, or no iptables(8)"),
            (!found.can_fill, "a full disk: no namespaces, or no tmpfs"),
            (!found.can_slow, "a slow disk: no strace(1)"),
            (found.faketime.is_none(), "steps of the clock: no libfaketime"),
        ];
        found.left_out = missing.iter().filter(|(is, _)| *is).map(|(_, what)| (*what).to_owned()).collect();
        found
    }
}

fn faketime() -> Option<PathBuf> {
    let told = Command::new("gcc").arg("-print-multiarch").output().ok();
    let told = told.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let here = format!("{}-linux-gnu", std::env::consts::ARCH);
    let places = [told.unwrap_or_default(), here, String::new()];
    places.iter().map(|place| Path::new("/usr/lib").join(place).join(FAKETIME)).find(|path| path.exists())
}
