//! User instructions for one small request, counted under callgrind: a figure without noise.
//!
//! Two runs differ only in their number of requests, so that what starting and stopping costs falls out. Only the thread that
//! serves is counted: what the others do depends on time, which passes slowly here.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Write as _, stdout};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::ceiling::{Ceiling, Verdict};
use crate::error::{Doing as _, Error};
use crate::machine::Cores;
use crate::origin::SMALL;
use crate::peers::{Peer, Place, Programs};
use crate::process::Process;
use crate::run::wait_until_ready;
use crate::stage::{Ask, Stage};

const FILE: &str = "benches/instructions.toml";
const FEW: u32 = 200;
const MANY: u32 = 1_200;

/// Counts, prints, and holds cutover's count against the file.
pub(crate) fn run(programs: &Programs, with_peers: bool) -> Result<(), Error> {
    let ceiling = Ceiling::read(Path::new(FILE))?;
    let cores = Cores::choose()?;
    if with_peers {
        for peer in [Peer::Nginx, Peer::Haproxy] {
            say(&format!(
                "{} {}: {:.0} user instructions per request",
                peer.name(),
                peer.version(programs),
                count(peer, programs, cores)?
            ));
        }
    }
    let counted = count(Peer::Cutover, programs, cores)?;
    say(&format!(
        "cutover: {counted:.0} user instructions per request; {FILE} has {:.0}, and allows {:.0}",
        ceiling.figure, ceiling.ceiling
    ));
    match ceiling.judge(counted) {
        Verdict::Kept => Ok(()),
        Verdict::Lower => {
            say(&format!(
                "that is a gain worth keeping: write figure = {counted:.0} and a ceiling 3 % above it into {FILE}"
            ));
            Ok(())
        }
        Verdict::Exceeded => Err(Error::Unusable(format!(
            "a request takes {counted:.0} instructions, more than the {:.0} of {FILE}",
            ceiling.ceiling
        ))),
    }
}

fn count(peer: Peer, programs: &Programs, cores: Cores) -> Result<f64, Error> {
    let few = threads(peer, programs, cores, FEW)?;
    let many = threads(peer, programs, cores, MANY)?;
    let grown =
        many.iter().map(|(thread, count)| count.saturating_sub(few.get(thread).copied().unwrap_or_default()));
    let served = u32::try_from(grown.max().unwrap_or_default())
        .map_err(|_| Error::Unusable("an absurd count".to_owned()))?;
    Ok(f64::from(served) / f64::from(MANY - FEW))
}

/// Serves that many requests over one connection, and gives the instructions of every thread by its number.
fn threads(
    peer: Peer,
    programs: &Programs,
    cores: Cores,
    requests: u32,
) -> Result<BTreeMap<String, u64>, Error> {
    let root = tempfile::tempdir().doing("creating a directory")?;
    let mut stage = Stage::new()?;
    let place = Place::new(root.path(), peer.name(), stage.backends()?)?;
    let served =
        peer.prepare(&place, programs)?.ok_or_else(|| Error::Unusable("no proxy to count".to_owned()))?;
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--separate-threads=yes", "--quiet"]);
    command.arg(format!("--callgrind-out-file={}/callgrind.%p", root.path().display()));
    command.arg(served.get_program()).args(served.get_args());
    if peer == Peer::Nginx {
        // A single process, because it is the last to end that is waited for.
        command.args(["-g", "master_process off;"]);
    }
    let mut process = Process::start(command, cores, &place.directory.join("output.log"))?;
    let ask = Ask { address: place.listen, path: "/small", body: SMALL };
    wait_until_ready(&mut stage, &mut process, &ask)?;
    stage.connect_pinned(&ask, 1)?;
    for _ in 0..requests {
        stage.exchange(0)?;
    }
    // The last request's end, and then the connection's, fall into both runs alike.
    stage.serve(Duration::from_millis(200))?;
    stage.hang_up();
    process.end()?;
    totals(root.path())
}

/// What callgrind wrote: a file for each thread, `callgrind.PID-THREAD`.
fn totals(directory: &Path) -> Result<BTreeMap<String, u64>, Error> {
    let mut totals = BTreeMap::new();
    for entry in fs::read_dir(directory).doing("listing callgrind's files")?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some((_, thread)) = name.strip_prefix("callgrind.").and_then(|rest| rest.split_once('-')) else {
            continue;
        };
        let text = fs::read_to_string(entry.path()).doing(format!("reading {name}"))?;
        let total = text
            .lines()
            .find_map(|line| line.strip_prefix("totals: ").or_else(|| line.strip_prefix("summary: ")));
        let total = total.and_then(|total| total.trim().parse().ok());
        totals
            .insert(thread.to_owned(), total.ok_or_else(|| Error::Unusable(format!("{name} has no total")))?);
    }
    if totals.is_empty() {
        return Err(Error::Unusable("callgrind wrote nothing".to_owned()));
    }
    Ok(totals)
}

fn say(line: &str) {
    let _ = writeln!(stdout(), "{line}");
}
