//! Measures cutover beside other proxies in one interleaved run, and counts the instructions of a request.

mod args;
mod ceiling;
mod client;
mod error;
mod figures;
mod frame;
mod instructions;
mod load;
mod machine;
mod origin;
mod peers;
mod poll;
mod process;
mod run;
mod stage;
mod table;
mod tls;
mod transport;

use std::fs;
use std::io::{Write as _, stderr, stdout};
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Map, Value, json};

use args::{Args, Task};
use error::{Doing as _, Error};
use figures::{Figure, median, spread};
use machine::{Cores, Noise};
use peers::Programs;
use run::{Plan, Results};

fn main() -> ExitCode {
    let outcome = Args::parse(std::env::args().skip(1)).and_then(|args| match args.task {
        Task::SideBySide { plan, json } => side_by_side(plan, &args.programs, &json),
        Task::Instructions { with_peers } => instructions::run(&args.programs, with_peers),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(stderr(), "side-by-side: {error}");
            ExitCode::FAILURE
        }
    }
}

fn side_by_side(mut plan: Plan, programs: &Programs, file: &Path) -> Result<(), Error> {
    let cores = Cores::choose()?;
    let missing: Vec<&str> =
        plan.peers.iter().filter(|peer| !peer.is_installed(programs)).map(|peer| peer.name()).collect();
    plan.peers.retain(|peer| peer.is_installed(programs));
    let mut noise = Noise::begin()?;
    let results = run::run(&plan, programs, cores, &mut noise, |step| {
        let _ = writeln!(stderr(), "{step}");
    })?;
    let noise = noise.end()?;
    let version = |peer: peers::Peer| peer.version(programs);

    let mut text = format!("{}\n\n", machine::description());
    for table in table::values(&plan, &results, version) {
        text.push_str(&table::aligned(&table));
        text.push('\n');
    }
    text.push_str(&table::aligned(&table::ratios(&plan, &results)));
    if !missing.is_empty() {
        text.push_str(&format!("\nnot installed, so not measured: {}\n", missing.join(", ")));
    }
    text.push_str(&format!("\n{}\n{}", said_of(&noise), table::invalid(&results)));
    let _ = stdout().write_all(text.as_bytes());

    let record = json!({
        "machine": machine::description(),
        "noise": noise,
        "rounds": plan.rounds,
        "seconds": plan.time.as_secs_f64(),
        "not_installed": missing,
        "proxies": proxies(&plan, &results, version),
        "invalid": table::invalid(&results).lines().collect::<Vec<_>>(),
    });
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).doing(format!("creating {}", folder.display()))?;
    }
    fs::write(file, format!("{record:#}\n")).doing(format!("writing {}", file.display()))?;
    if results.invalid.is_empty() {
        Ok(())
    } else {
        Err(Error::Unusable("some loads were invalid".to_owned()))
    }
}

/// Every value of every round, so that anyone can look behind the medians.
fn proxies(plan: &Plan, results: &Results, version: impl Fn(peers::Peer) -> String) -> Value {
    let mut proxies = Map::new();
    for &peer in &plan.peers {
        let mut entry = Map::from_iter([("version".to_owned(), version(peer).into())]);
        for figure in Figure::ALL {
            let value = match results.valid(peer, figure) {
                Some(rounds) => {
                    json!({ "median": median(rounds), "spread": spread(rounds), "rounds": rounds })
                }
                None if results.is_invalid(peer, figure) => json!("invalid"),
                None => continue,
            };
            entry.insert(figure.name().to_owned(), value);
        }
        proxies.insert(peer.name().to_owned(), entry.into());
    }
    proxies.into()
}

/// How noisy the machine was, in words.
fn said_of(noise: &Value) -> String {
    let share = |key: &str| noise[key].as_f64().unwrap_or_default() * 100.0;
    let verdict = if noise["quiet"] == true {
        "quiet enough"
    } else {
        "NOISY: these figures prove nothing, run it again"
    };
    format!(
        "noise: {verdict}. The same loop, {:.1} ms before every turn, varied by ±{:.1} %; other programs took {:.1} % of the cores; \
         stolen from this machine {:.1} %; load average {} before, {} after",
        noise["calibration_ms"].as_f64().unwrap_or_default(),
        share("calibration_spread"),
        share("foreign_share"),
        share("stolen_share"),
        noise["load_before"].as_str().unwrap_or_default(),
        noise["load_after"].as_str().unwrap_or_default(),
    )
}
