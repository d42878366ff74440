//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use crate::error::Error;
use crate::load::Load;
use crate::peers::{Peer, Programs};
use crate::run::Plan;

pub(crate) const USAGE: &str = "\
usage: side-by-side [--rounds N] [--seconds S] [--only PROXY,…] [--what LOAD,…] [--json FILE] [--cutover FILE] [--peers FOLDER]
       side-by-side instructions [--with-peers] [--cutover FILE]
proxies: nginx, haproxy, apache, envoy, caddy, traefik, cutover
loads: small, latency, large, connections, idle (all of these: clear); tls, h2, h2c, grpc, tls-large, handshakes, tls-idle (all of these: edge)";

const ROUNDS: usize = 5;
const SECONDS: f64 = 1.2;

/// What the user wants.
#[derive(Debug)]
pub(crate) struct Args {
    pub(crate) task: Task,
    pub(crate) programs: Programs,
}

#[derive(Debug)]
pub(crate) enum Task {
    SideBySide { plan: Plan, json: PathBuf },
    Instructions { with_peers: bool },
}

impl Args {
    /// Reads the words after the program's name.
    pub(crate) fn parse(words: impl IntoIterator<Item = String>) -> Result<Self, Error> {
        let mut words = words.into_iter().peekable();
        let counts_instructions = words.next_if(|word| word == "instructions").is_some();
        let mut programs =
            Programs { cutover: "target/release/cutover".into(), peers: "target/peers/bin".into() };
        let (mut rounds, mut seconds, mut with_peers) = (ROUNDS, SECONDS, false);
        let (mut peers, mut loads) = (Peer::ALL.to_vec(), Load::ALL.to_vec());
        let mut json = PathBuf::from("target/bench/side_by_side.json");
        while let Some(option) = words.next() {
            if counts_instructions && option == "--with-peers" {
                with_peers = true;
                continue;
            }
            let mut value = || words.next().ok_or_else(|| unusable(&option, "needs a value"));
            match option.as_str() {
                "--cutover" => programs.cutover = value()?.into(),
                "--peers" => programs.peers = value()?.into(),
                "--rounds" if !counts_instructions => rounds = number(&option, &value()?)?,
                "--seconds" if !counts_instructions => seconds = number(&option, &value()?)?,
                "--json" if !counts_instructions => json = value()?.into(),
                "--only" if !counts_instructions => {
                    peers = chosen(&value()?, &Peer::ALL, |peer, name| {
                        peer.name().split(',').next() == Some(name)
                    })?;
                }
                "--what" if !counts_instructions => {
                    loads = chosen(&value()?, &Load::ALL, |load, name| {
                        load.name() == name || name == if load.is_edge() { "edge" } else { "clear" }
                    })?;
                }
                _ => return Err(unusable(&option, "is unknown")),
            }
        }
        if rounds == 0 || !(0.05..=60.0).contains(&seconds) {
            return Err(Error::Unusable("at least one round, and 0.05 to 60 seconds".to_owned()));
        }
        // What a proxy adds to a latency is only known beside the same request without one.
        if loads.contains(&Load::Latency) && !peers.contains(&Peer::Direct) {
            peers.insert(0, Peer::Direct);
        }
        let plan = Plan { peers, loads, rounds, time: Duration::from_secs_f64(seconds) };
        let task = if counts_instructions {
            Task::Instructions { with_peers }
        } else {
            Task::SideBySide { plan, json }
        };
        Ok(Self { task, programs })
    }
}

fn unusable(option: &str, why: &str) -> Error {
    Error::Unusable(format!("{option} {why}\n{USAGE}"))
}

fn number<T: std::str::FromStr>(option: &str, value: &str) -> Result<T, Error> {
    value.parse().map_err(|_| unusable(option, "needs a number"))
}

/// Those of `all` that a comma-separated list names, in the order of `all`.
fn chosen<T: Copy>(list: &str, all: &[T], is_named: impl Fn(T, &str) -> bool) -> Result<Vec<T>, Error> {
    if let Some(unknown) = list.split(',').find(|name| !all.iter().any(|one| is_named(*one, name))) {
        return Err(unusable(unknown, "is unknown"));
    }
    Ok(all.iter().copied().filter(|one| list.split(',').any(|name| is_named(*one, name))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(words: &[&str]) -> Result<Plan, Error> {
        match Args::parse(words.iter().map(ToString::to_string))?.task {
            Task::SideBySide { plan, .. } => Ok(plan),
            Task::Instructions { .. } => Err(Error::Unusable("instructions".to_owned())),
        }
    }

    #[test]
    fn cutover_is_measured_with_and_without_its_log() {
        let plan = plan(&["--only", "cutover,nginx", "--what", "small"]).unwrap();
        assert_eq!(plan.peers, [Peer::Nginx, Peer::Cutover, Peer::CutoverLogging]);
        assert_eq!(plan.loads, [Load::Small]);
    }

    #[test]
    fn loads_have_two_groups() {
        let loads = |what| plan(&["--what", what]).unwrap().loads;
        assert_eq!([loads("clear"), loads("edge")].concat(), Load::ALL);
        assert_eq!(loads("handshakes,clear").last(), Some(&Load::Handshakes));
    }

    #[test]
    fn latencies_are_never_measured_without_the_floor() {
        let plan = plan(&["--only", "nginx", "--what", "latency"]).unwrap();
        assert_eq!(plan.peers, [Peer::Direct, Peer::Nginx]);
    }

    #[test]
    fn what_is_unknown_or_useless_is_refused() {
        for words in [
            &["--only", "squid"][..],
            &["--what", "spdy"],
            &["--rounds", "0"],
            &["--seconds", "nan"],
            &["--rounds"],
            &["--fast"],
            &["instructions", "--rounds", "3"],
        ] {
            assert!(plan(words).is_err(), "{words:?}");
        }
    }
}
