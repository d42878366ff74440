//! User instructions for one small request, counted under callgrind: a figure without noise.
//!
//! Two runs differ only in their number of requests, so that what starting and stopping costs falls out. Only the thread that
//! serves is counted: what the others do depends on time, which passes slowly here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Write as _, stdout};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::ceiling::{Ceilings, Verdict};
use crate::client::{Ask, Way};
use crate::error::{Doing as _, Error};
use crate::machine::Cores;
use crate::origin::{LEAN, SMALL};
use crate::peers::{Peer, Place, Programs};
use crate::process::Process;
use crate::run::wait_until_ready;
use crate::stage::Stage;

const FILE: &str = "benches/instructions.toml";
/// Where the profiles stay, for callgrind_annotate.
const PROFILES: &str = "target/bench/callgrind";
/// As many connections as under load, so that a proxy finds several of them ready when it looks.
const CONNECTIONS: u32 = 64;
/// How often all of them make a request at the same time: in the short run until everything that is reused is there.
const FEW: u32 = 20;
const MANY: u32 = 50;
/// How often that is counted. Whether an answer is there already when it is looked for depends on time.
const COUNTS: usize = 3;

/// User instructions of one thread, or for one request.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Count {
    all: f64,
    /// Of these, SHA-256 without the processor's instructions for it, which valgrind hides from the program.
    hashing: f64,
}

/// Counts, prints, and holds cutover's counts against the file.
pub(crate) fn run(programs: &Programs, with_peers: bool) -> Result<(), Error> {
    let ceilings = Ceilings::read(Path::new(FILE))?;
    let cores = Cores::choose()?;
    let mut exceeded = Vec::new();
    for (name, path, ceiling) in [("browser", "/small", ceilings.browser), ("lean", LEAN, ceilings.lean)] {
        if with_peers {
            for peer in [Peer::Nginx, Peer::Haproxy] {
                let counted = count(peer, programs, cores, path)?.all;
                say(&format!(
                    "{name}: {counted:.0} user instructions per request, {} {}",
                    peer.name(),
                    peer.version(programs)
                ));
            }
        }
        let Count { all, hashing } = median(programs, cores, path)?;
        say(&format!(
            "{name}: {all:.0} user instructions per request, cutover; {FILE} has {:.0}, and allows {:.0}",
            ceiling.figure, ceiling.ceiling
        ));
        if hashing >= 1.0 {
            say(&format!(
                "of these, {hashing:.0} are SHA-256 in software, because valgrind knows no SHA extensions"
            ));
        }
        match ceiling.judge(all) {
            Verdict::Kept => {}
            Verdict::Lower => say(&format!(
                "a gain worth keeping: write figure = {all:.0} and a ceiling 3 % above it into {FILE}"
            )),
            Verdict::Exceeded => exceeded.push(format!(
                "{name}: {all:.0} instructions exceed the ceiling of {:.0}; profiles: {PROFILES}",
                ceiling.ceiling
            )),
        }
    }
    if exceeded.is_empty() { Ok(()) } else { Err(Error::Unusable(exceeded.join("; "))) }
}

/// The middle one of some counts of cutover.
fn median(programs: &Programs, cores: Cores, path: &'static str) -> Result<Count, Error> {
    let mut counts = [Count::default(); COUNTS];
    for counted in &mut counts {
        *counted = count(Peer::Cutover, programs, cores, path)?;
    }
    counts.sort_by(|a, b| a.all.total_cmp(&b.all));
    Ok(counts[COUNTS / 2])
}

/// What a request takes of the thread that serves: the one that took most of the additional requests.
fn count(peer: Peer, programs: &Programs, cores: Cores, path: &'static str) -> Result<Count, Error> {
    let few = threads(peer, programs, cores, (FEW, path))?;
    let many = threads(peer, programs, cores, (MANY, path))?;
    let each = f64::from((MANY - FEW) * CONNECTIONS);
    let grown = many.iter().map(|(thread, many)| {
        let few = few.get(thread).copied().unwrap_or_default();
        Count { all: (many.all - few.all) / each, hashing: (many.hashing - few.hashing) / each }
    });
    Ok(grown.max_by(|a, b| a.all.total_cmp(&b.all)).unwrap_or_default())
}

/// Serves that many rounds of requests for `path`, and gives the instructions of every thread by its number.
fn threads(
    peer: Peer,
    programs: &Programs,
    cores: Cores,
    (rounds, path): (u32, &'static str),
) -> Result<BTreeMap<String, Count>, Error> {
    let root =
        std::path::absolute(PROFILES).doing("resolving a path")?.join(format!("{}-{rounds}", peer.name()));
    // What an earlier run left would be counted with this one.
    if root.exists() {
        fs::remove_dir_all(&root).doing(format!("removing {}", root.display()))?;
    }
    let mut stage = Stage::new()?;
    let place = Place::new(&root, "proxy", stage.backends()?, stage.tls())?;
    let served =
        peer.prepare(&place, programs)?.ok_or_else(|| Error::Unusable("no proxy to count".to_owned()))?;
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--separate-threads=yes", "--quiet"]);
    command.arg(format!("--callgrind-out-file={}/callgrind.%p", root.display()));
    command.arg(served.get_program()).args(served.get_args());
    if peer == Peer::Nginx {
        // A single process, because it is the last to end that is waited for.
        command.args(["-g", "master_process off;"]);
    }
    let mut process = Process::start(command, cores, &place.directory.join("output.log"))?;
    let ask = Ask { addresses: place.listen, way: Way::Http1, path, body: SMALL };
    wait_until_ready(&mut stage, &mut process, &ask)?;
    stage.connect_pinned(&ask, CONNECTIONS as usize)?;
    for _ in 0..rounds {
        stage.exchange_all()?;
    }
    // The last requests' ends, and then the connections', fall into both runs alike.
    stage.serve(Duration::from_millis(200))?;
    stage.hang_up();
    process.end()?;
    totals(&root)
}

/// What callgrind wrote: a file for each thread, `callgrind.PID-THREAD`.
fn totals(directory: &Path) -> Result<BTreeMap<String, Count>, Error> {
    let mut totals = BTreeMap::new();
    for entry in fs::read_dir(directory).doing("listing callgrind's files")?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some((_, thread)) = name.strip_prefix("callgrind.").and_then(|rest| rest.split_once('-')) else {
            continue;
        };
        let text = fs::read_to_string(entry.path()).doing(format!("reading {name}"))?;
        totals.insert(thread.to_owned(), total(&text));
    }
    if totals.is_empty() {
        return Err(Error::Unusable("callgrind wrote nothing".to_owned()));
    }
    Ok(totals)
}

/// Adds up a profile in callgrind's format: `fn=(ID) NAME` begins a function, whose name is only there the first time, a line of
/// a position and a cost follows for each of its places, and a line after `calls=` is the cost of what was called.
fn total(profile: &str) -> Count {
    let mut count = Count::default();
    let mut hashing_functions = BTreeSet::new();
    let (mut is_hashing, mut is_of_called) = (false, false);
    for line in profile.lines() {
        if let Some(function) = line.strip_prefix("fn=").or_else(|| line.strip_prefix("cfn=")) {
            let (id, name) = function.split_once(' ').unwrap_or((function, ""));
            if name.contains("sha256") || name.contains("Sha256") {
                hashing_functions.insert(id);
            }
            if line.starts_with("fn=") {
                is_hashing = hashing_functions.contains(id);
            }
        } else if line.starts_with("calls=") {
            is_of_called = true;
        } else if line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first)) {
            let cost = line.rsplit(' ').next().and_then(|cost| cost.parse().ok()).unwrap_or(0.0);
            if !std::mem::take(&mut is_of_called) {
                count.all += cost;
                count.hashing += if is_hashing { cost } else { 0.0 };
            }
        }
    }
    count
}

fn say(line: &str) {
    let _ = writeln!(stdout(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_adds_up_to_what_each_function_took_itself() {
        let profile = "events: Ir\n\nfl=(1) a.rs\nfn=(1) serve\n10 100\n+2 5\ncfn=(2) sha2::sha256::compress256\ncalls=3 7\n12 9000\n\
                       fn=(2)\n7 8000\n* 1000\n\nfn=(1)\n10 1\ntotals: 9106\n";
        assert_eq!(total(profile), Count { all: 9_106.0, hashing: 9_000.0 });
    }
}
