//! The interleaved run: in every round all proxies are started, and take turns at every load, in slices so short that whatever disturbs the
//! machine disturbs neighbours alike.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::client::{Addresses, Ask, Way};
use crate::error::{Doing as _, Error};
use crate::figures::Figure;
use crate::load::{Load, Taken, Target};
use crate::machine::{Cores, Noise};
use crate::origin::SMALL;
use crate::peers::{Peer, Place, Programs};
use crate::process::Process;
use crate::stage::Stage;

/// A proxy may first want to see its backends up some times.
const READY_WITHIN: Duration = Duration::from_secs(20);
const READY_LOOK: Duration = Duration::from_millis(50);

/// What to measure.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) peers: Vec<Peer>,
    pub(crate) loads: Vec<Load>,
    pub(crate) rounds: usize,
    /// Length of each load in a round, over all its slices.
    pub(crate) time: Duration,
}

/// Everything that was measured.
#[derive(Debug, Default)]
pub(crate) struct Results {
    pub(crate) values: BTreeMap<(Peer, Figure), Vec<f64>>,
    pub(crate) invalid: Vec<Invalid>,
}

/// A load that did not count, and why.
#[derive(Debug)]
pub(crate) struct Invalid {
    pub(crate) peer: Peer,
    pub(crate) load: Load,
    pub(crate) round: usize,
    pub(crate) reason: String,
}

impl Results {
    /// The values of every slice of every round, in their order; none if one of them was invalid.
    pub(crate) fn valid(&self, peer: Peer, figure: Figure) -> Option<&[f64]> {
        let is_about = |invalid: &&Invalid| invalid.peer == peer && invalid.load.figures().contains(&figure);
        let values = self.values.get(&(peer, figure))?;
        self.invalid.iter().find(is_about).is_none().then_some(values.as_slice())
    }

    pub(crate) fn is_invalid(&self, peer: Peer, figure: Figure) -> bool {
        self.invalid.iter().any(|invalid| invalid.peer == peer && invalid.load.figures().contains(&figure))
    }

    fn add(&mut self, peer: Peer, taken: Taken, floor: &BTreeMap<Figure, f64>) {
        for (figure, value) in taken {
            // What a proxy adds is more than what the same request takes without it, in the same round.
            let value = value
                - if peer == Peer::Direct { 0.0 } else { floor.get(&figure).copied().unwrap_or_default() };
            self.values.entry((peer, figure)).or_default().push(value);
        }
    }

    fn refuse(&mut self, peer: Peer, load: Load, round: usize, error: &Error) {
        self.invalid.push(Invalid { peer, load, round, reason: error.to_string() });
    }

    /// No load that the proxy serves counts.
    fn refuse_all(&mut self, plan: &Plan, peer: Peer, round: usize, error: &Error) {
        for load in plan.loads.iter().filter(|load| peer.serves(**load)) {
            self.refuse(peer, *load, round, error);
        }
    }
}

/// A proxy that serves, or none: then the application is asked itself.
#[derive(Debug)]
struct Stand {
    peer: Peer,
    ask: Ask,
    process: Option<Process>,
}

/// Runs the plan. `tell` hears of every step.
pub(crate) fn run(
    plan: &Plan,
    programs: &Programs,
    cores: Cores,
    noise: &mut Noise,
    mut tell: impl FnMut(&str),
) -> Result<Results, Error> {
    let root = tempfile::tempdir().doing("creating a directory")?;
    let mut results = Results::default();
    for round in 1..=plan.rounds {
        let mut stage = Stage::new()?;
        let (mut stands, place) = (Vec::new(), root.path().join(round.to_string()));
        tell(&format!("round {round} of {}: starting", plan.rounds));
        for &peer in plan.peers.iter().filter(|peer| plan.loads.iter().any(|load| peer.serves(*load))) {
            match Stand::start(peer, programs, cores, &place, &mut stage) {
                Ok(stand) => stands.push(stand),
                Err(error) => {
                    tell(&format!("  {}: {error}", peer.name()));
                    results.refuse_all(plan, peer, round, &error);
                }
            }
        }
        for &load in &plan.loads {
            tell(&format!("round {round} of {}: {}", plan.rounds, load.name()));
            for _ in 0..load.slices() {
                noise.calibrate(cores)?;
                slice(plan, load, &stands, cores, &mut stage, |peer, taken, floor| match taken {
                    Ok(taken) => results.add(peer, taken, floor),
                    Err(error) => {
                        tell(&format!("  {}: invalid: {error}", peer.name()));
                        results.refuse(peer, load, round, &error);
                    }
                });
            }
        }
        for Stand { peer, process, .. } in stands {
            if let Err(error) = process.map_or(Ok(()), Process::end) {
                results.refuse_all(plan, peer, round, &error);
            }
        }
    }
    Ok(results)
}

/// One slice of a load: every proxy has it in turn. What is `taken` goes with what the same takes without a proxy.
fn slice(
    plan: &Plan,
    load: Load,
    stands: &[Stand],
    cores: Cores,
    stage: &mut Stage,
    mut taken: impl FnMut(Peer, Result<Taken, Error>, &BTreeMap<Figure, f64>),
) {
    let time = plan.time / load.slices();
    let mut floor = BTreeMap::new();
    for Stand { peer, ask, process } in stands.iter().filter(|stand| stand.peer.serves(load)) {
        let target = Target { ask: *ask, process: process.as_ref(), time };
        let outcome = put(load, stage, &target, cores);
        if let Ok(values) = &outcome
            && *peer == Peer::Direct
            && load == Load::Latency
        {
            floor = values.iter().copied().collect();
        }
        taken(*peer, outcome, &floor);
    }
}

/// One load. Where latencies are taken, the proxy's core never halts: how long it takes to wake up is the machine's, not a proxy's.
fn put(load: Load, stage: &mut Stage, target: &Target<'_>, cores: Cores) -> Result<Taken, Error> {
    let awake = (load == Load::Latency).then(|| Process::keep_awake(cores)).transpose()?;
    let taken = load.run(stage, target)?;
    awake.map_or(Ok(()), Process::end)?;
    Ok(taken)
}

impl Stand {
    /// Starts a proxy before the application of `stage`, and waits until it serves.
    fn start(
        peer: Peer,
        programs: &Programs,
        cores: Cores,
        root: &Path,
        stage: &mut Stage,
    ) -> Result<Self, Error> {
        let place = Place::new(root, peer.name(), stage.backends()?, stage.tls())?;
        let ask = |addresses| Ask { addresses, way: Way::Http1, path: "/small", body: SMALL };
        let Some(command) = peer.prepare(&place, programs)? else {
            let origin = place.backends.first().copied().unwrap_or(place.listen.http);
            let ask = ask(Addresses { http: origin, tls: origin, h2c: origin });
            return Ok(Self { peer, ask, process: None });
        };
        let log = place.directory.join("output.log");
        let mut process = Process::start(command, cores, &log)?;
        let ask = ask(place.listen);
        if let Err(error) = wait_until_ready(stage, &mut process, &ask) {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            let last = said.lines().last().unwrap_or("it said nothing");
            return Err(Error::Unusable(format!("{} does not serve: {error} ({last})", peer.name())));
        }
        Ok(Self { peer, ask, process: Some(process) })
    }
}

/// Waits until the proxy has answered well for some time: by then it knows both backends.
pub(crate) fn wait_until_ready(stage: &mut Stage, process: &mut Process, ask: &Ask) -> Result<(), Error> {
    const GOOD_ANSWERS: usize = 8;
    let start = Instant::now();
    let mut good = 0;
    while good < GOOD_ANSWERS {
        if process.has_ended() {
            return Err(Error::Unusable("it ended".to_owned()));
        }
        match stage.pin(ask) {
            Ok(_) => good += 1,
            Err(error) if start.elapsed() > READY_WITHIN => return Err(error),
            Err(_) => good = 0,
        }
        stage.hang_up();
        stage.serve(READY_LOOK)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_invalid_round_takes_the_figure_out_of_the_table_and_no_other() {
        let mut results = Results::default();
        for _ in 0..3 {
            results.add(Peer::Nginx, vec![(Figure::Request, 20.0), (Figure::Bodies, 1.5)], &BTreeMap::new());
        }
        results.refuse(Peer::Nginx, Load::Large, 2, &Error::Status(502));
        assert_eq!(results.valid(Peer::Nginx, Figure::Request), Some(&[20.0; 3][..]));
        assert_eq!(results.valid(Peer::Nginx, Figure::Bodies), None);
        assert!(results.is_invalid(Peer::Nginx, Figure::Bodies));
        assert!(!results.is_invalid(Peer::Haproxy, Figure::Bodies));
    }

    #[test]
    fn the_floor_is_taken_off_what_a_proxy_shows_and_not_off_itself() {
        let floor = BTreeMap::from([(Figure::P99, 10.0)]);
        let mut results = Results::default();
        results.add(Peer::Direct, vec![(Figure::P99, 10.0)], &floor);
        results.add(Peer::Cutover, vec![(Figure::P99, 35.0), (Figure::Request, 12.0)], &floor);
        assert_eq!(results.valid(Peer::Direct, Figure::P99), Some(&[10.0][..]));
        assert_eq!(results.valid(Peer::Cutover, Figure::P99), Some(&[25.0][..]));
        assert_eq!(results.valid(Peer::Cutover, Figure::Request), Some(&[12.0][..]));
    }
}
