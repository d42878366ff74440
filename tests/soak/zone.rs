//! Zones: each a network of its own, reached over one wire, which can be silent or answer with resets.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::is_done;

/// Networks `10.213.N.0/30`: the first address is ours, the second the zone's.
const NETWORK: &str = "10.213";

/// One zone of servers.
#[derive(Clone, Debug)]
pub(crate) struct Zone {
    pub(crate) name: String,
    number: usize,
    log: PathBuf,
}

impl Zone {
    /// Makes its network and its wire.
    pub(crate) fn make(number: usize, log: &Path) -> Self {
        let zone = Self { name: format!("zone-{number}"), number, log: log.to_owned() };
        let (name, near, far) = (zone.name.as_str(), format!("near{number}"), format!("far{number}"));
        let ours = format!("{}/30", zone.ours());
        let theirs = format!("{}/30", zone.address());
        let made = zone.ip(&["netns", "add", name])
            && zone.ip(&["link", "add", &near, "type", "veth", "peer", "name", &far])
            && zone.ip(&["link", "set", &far, "netns", name])
            && zone.ip(&["addr", "add", &ours, "dev", &near])
            && zone.ip(&["link", "set", &near, "up"])
            && zone.ip(&["-n", name, "addr", "add", &theirs, "dev", &far])
            && zone.ip(&["-n", name, "link", "set", &far, "up"])
            && zone.ip(&["-n", name, "link", "set", "lo", "up"]);
        assert!(made, "a zone can't be made: see {}", log.display());
        zone
    }

    /// Where its servers are.
    pub(crate) fn address(&self) -> String {
        format!("{NETWORK}.{}.2", self.number)
    }

    /// A command that runs `program` in there.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// From now on nothing comes back from there: what is sent arrives, and is answered into nothing.
    pub(crate) fn silence(&self) -> bool {
        self.ip(&["-n", &self.name, "route", "add", "blackhole", &format!("{}/32", self.ours())])
    }

    /// Ends the silence.
    pub(crate) fn speak(&self) -> bool {
        self.ip(&["-n", &self.name, "route", "del", "blackhole", &format!("{}/32", self.ours())])
    }

    /// From now on whatever is sent there is answered with a reset.
    pub(crate) fn reset(&self) -> bool {
        self.rule("-I")
    }

    /// Ends the resets.
    pub(crate) fn mend(&self) -> bool {
        self.rule("-D")
    }

    fn rule(&self, change: &str) -> bool {
        let address = self.address();
        let rule = ["-w", change, "OUTPUT", "-p", "tcp", "-d", &address, "-j", "REJECT", "--reject-with"];
        is_done("iptables", &[rule.as_slice(), &["tcp-reset"]].concat(), &self.log)
    }

    fn ours(&self) -> String {
        format!("{NETWORK}.{}.1", self.number)
    }

    fn ip(&self, arguments: &[&str]) -> bool {
        is_done("ip", arguments, &self.log)
    }
}
