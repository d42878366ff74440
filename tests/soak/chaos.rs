//! What breaks: one thing after the other, each until everything is well again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use tokio::sync::{Mutex, MutexGuard};

use super::admin::Outcome;
use super::clock::Clock;
use super::cutover::Cutover;
use super::deck::{Deck, Dice};
use super::disk::Disk;
use super::fleet::{Fleet, Server, ZONES};
use super::run::Run;
use super::world::Whose;

/// In this part of a run cutover is neither killed nor replaced, so that one process lives long enough to be measured.
const LONG_LIFE: (f64, f64) = (0.25, 0.93);

/// What a step of the clock may be that no pin can feel: they live for 12 s, and are handed out again after three.
const PIN_SAFE_SECS: i64 = 6;

/// Who breaks things, and what there is to be broken.
#[derive(Debug)]
pub(crate) struct Chaos {
    run: Arc<Run>,
    fleet: Arc<Fleet>,
    cutover: Arc<Mutex<Cutover>>,
    clock: Clock,
    disk: Disk,
    state: PathBuf,
    dice: Dice,
    reloads: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    KillServer,
    SwapServer,
    StopServer,
    PauseServer,
    Silence,
    Reset,
    KillCutover,
    Upgrade,
    BrokenUpgrade,
    Reload,
    FullDisk,
    SlowDisk,
    Descriptors,
    StepClock,
}

impl Act {
    /// For a run that has time: each of them once in every deal.
    const ALL: [Self; 14] = [
        Self::KillServer,
        Self::SwapServer,
        Self::StopServer,
        Self::PauseServer,
        Self::Silence,
        Self::Reset,
        Self::KillCutover,
        Self::Upgrade,
        Self::BrokenUpgrade,
        Self::Reload,
        Self::FullDisk,
        Self::SlowDisk,
        Self::Descriptors,
        Self::StepClock,
    ];
    /// For the run of an ordinary test: what is over soon.
    const SHORT: [Self; 6] =
        [Self::KillServer, Self::SwapServer, Self::Upgrade, Self::KillCutover, Self::Reload, Self::FullDisk];

    fn ends_cutover(self) -> bool {
        matches!(self, Self::KillCutover | Self::Upgrade)
    }
}

impl Chaos {
    pub(crate) fn new(
        run: &Arc<Run>,
        fleet: &Arc<Fleet>,
        cutover: &Arc<Mutex<Cutover>>,
        clock: Clock,
        state: &Path,
    ) -> Self {
        let disk = Disk::new(state, &run.options.out.join("tools.log"));
        let (run, fleet, cutover) = (Arc::clone(run), Arc::clone(fleet), Arc::clone(cutover));
        let dice = Dice::new(run.options.seed, 4);
        Self { run, fleet, cutover, clock, disk, state: state.to_owned(), dice, reloads: 0 }
    }

    /// Breaks things until it is calm.
    pub(crate) async fn work(mut self) {
        let cards = if self.run.options.is_full() { Act::ALL.to_vec() } else { Act::SHORT.to_vec() };
        let mut deck = Deck::new(cards);
        while !self.run.is_calm() {
            let most = if self.run.options.is_full() { 5_000 } else { 700 };
            let length = Duration::from_millis(self.dice.between(300, most));
            self.run.pause(length).await;
            let (abilities, lives_long) = (self.run.abilities.clone(), self.lives_long());
            let may = |act: Act| {
                let is_possible = match act {
                    Act::Silence => abilities.is_apart,
                    Act::Reset => abilities.can_reset,
                    Act::FullDisk => abilities.can_fill,
                    Act::SlowDisk => abilities.can_slow,
                    Act::StepClock => abilities.faketime.is_some(),
                    _ => true,
                };
                is_possible && !(lives_long && act.ends_cutover())
            };
            let Some(act) = deck.deal(&mut self.dice, may).filter(|_| !self.run.is_calm()) else { continue };
            self.run.note(&format!("chaos: {act:?}"));
            let began = Instant::now();
            if !self.play(act).await {
                self.run.note("chaos: not now");
                continue;
            }
            self.run.note(&format!("chaos: {act:?} is over after {:.1?}", began.elapsed()));
            *self.run.tally().acts.entry(format!("{act:?}")).or_default() += 1;
        }
    }

    fn lives_long(&self) -> bool {
        let part = self.run.began.elapsed().as_secs_f64() / self.run.options.length.as_secs_f64();
        self.run.options.is_full() && part > LONG_LIFE.0 && part < LONG_LIFE.1
    }

    /// False if it could not be played now.
    async fn play(&mut self, act: Act) -> bool {
        match act {
            Act::KillServer => self.kill_server().await,
            Act::SwapServer => self.swap_server().await,
            Act::StopServer => self.stop_server().await,
            Act::PauseServer => self.pause_server().await,
            Act::Silence => self.cut_off(true).await,
            Act::Reset => self.cut_off(false).await,
            Act::KillCutover => self.kill_cutover().await,
            Act::Upgrade => self.upgrade().await,
            Act::BrokenUpgrade => self.upgrade_to_broken().await,
            Act::Reload => self.reload().await,
            Act::FullDisk => self.fill_disk().await,
            Act::SlowDisk => self.slow_disk().await,
            Act::Descriptors => self.take_descriptors().await,
            Act::StepClock => self.step_clock().await,
        }
    }

    async fn kill_server(&mut self) -> bool {
        let fleet = Arc::clone(&self.fleet);
        let Some(mut server) = self.any(&fleet, None) else { return false };
        let trouble = self.break_one(&server, Whose::Died);
        server.kill();
        self.linger(0, 3_000).await;
        let version = server.version.clone();
        server.start(&version).await;
        server.settle(&self.run).await;
        self.run.end(trouble);
        true
    }

    /// A server is replaced by another version, at the same address and at once, and back again.
    async fn swap_server(&mut self) -> bool {
        let fleet = Arc::clone(&self.fleet);
        let mut versions: Vec<String> = Vec::new();
        for server in fleet.of("web").filter_map(|server| server.try_lock().ok()) {
            versions.push(server.version.clone());
        }
        let Some(mut server) = self.any(&fleet, Some("web")) else { return false };
        let old = server.version.clone();
        let Some(new) = versions.into_iter().find(|version| *version != old) else { return false };
        for version in [&new, &old] {
            let trouble = self.break_one(&server, Whose::Died);
            server.start(version).await;
            server.settle(&self.run).await;
            self.run.end(trouble);
            self.linger(300, 2_000).await;
        }
        true
    }

    /// A server that ends in order, but did not ask before.
    async fn stop_server(&mut self) -> bool {
        let fleet = Arc::clone(&self.fleet);
        let Some(mut server) = self.any(&fleet, None) else { return false };
        let trouble = self.break_one(&server, Whose::Died);
        server.stop().await;
        let version = server.version.clone();
        server.start(&version).await;
        server.settle(&self.run).await;
        self.run.end(trouble);
        true
    }

    async fn pause_server(&mut self) -> bool {
        let fleet = Arc::clone(&self.fleet);
        let Some(server) = self.any(&fleet, None) else { return false };
        let trouble = self.break_one(&server, Whose::Silent);
        server.signal(Signal::STOP);
        self.linger(2_000, 12_000).await;
        server.signal(Signal::CONT);
        server.settle(&self.run).await;
        self.run.end(trouble);
        true
    }

    /// A zone is silent, or answers everything with a reset.
    async fn cut_off(&mut self, is_silent: bool) -> bool {
        let fleet = Arc::clone(&self.fleet);
        // Not one in which the operator is at work.
        let first = self.dice.index(ZONES);
        let mut free = (0..ZONES).map(|next| (first + next) % ZONES);
        let found = free.find_map(|number| Some((fleet.zones.get(number)?, fleet.of_zone(number)?)));
        let Some((zone, servers)) = found else { return false };
        let whose = if is_silent { Whose::Silent } else { Whose::Died };
        for server in &servers {
            self.run.world(server.service).unsettle(&server.name);
        }
        let trouble = self.run.begin(whose);
        let began = if is_silent { zone.silence() } else { zone.reset() };
        self.linger(2_000, 12_000).await;
        let ended = if is_silent { zone.speak() } else { zone.mend() };
        if !(began && ended) {
            self.run.find(format!("{} could not be cut off and joined again: see tools.log", zone.name));
        }
        for server in &servers {
            server.settle(&self.run).await;
        }
        self.run.end(trouble);
        true
    }

    async fn kill_cutover(&mut self) -> bool {
        let mut cutover = self.cutover.lock().await;
        let trouble = self.run.begin(Whose::Cutover);
        cutover.kill(&self.run);
        cutover.start(&self.run).await;
        self.run.end(trouble);
        true
    }

    async fn upgrade(&mut self) -> bool {
        let began = Instant::now();
        let outcome = self.cutover.lock().await.upgrade(&self.run).await;
        if !matches!(outcome, Outcome::Done(_)) {
            self.run.find_late(began, format!("an upgrade failed: {}", outcome.why()));
        }
        true
    }

    async fn upgrade_to_broken(&mut self) -> bool {
        let before = self.run.pid();
        let outcome = self.cutover.lock().await.upgrade_to_broken(&self.run).await;
        if !matches!(outcome, Outcome::Refused(500, _)) || self.run.pid() != before {
            self.run.find(format!("an upgrade to a program that fails: {}", outcome.why()));
        }
        true
    }

    async fn reload(&mut self) -> bool {
        self.reloads += 1;
        self.cutover.lock().await.reload(&self.run, &self.state, 64 + self.reloads % 2 * 64);
        self.linger(500, 1_500).await;
        true
    }

    async fn fill_disk(&mut self) -> bool {
        self.disk.fill();
        let most = if self.run.options.is_full() { 6_000 } else { 1_500 };
        self.linger(1_000, most).await;
        self.disk.free();
        true
    }

    async fn slow_disk(&mut self) -> bool {
        let slow = self.disk.slow(self.run.pid());
        self.linger(3_000, 8_000).await;
        drop(slow);
        true
    }

    /// Cutover may open hardly any descriptor beyond those that it has.
    async fn take_descriptors(&mut self) -> bool {
        let pid = self.run.pid();
        let Some(id) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return false };
        let open = std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count) as u64;
        let trouble = self.run.begin(Whose::Descriptors);
        let tight = Rlimit { current: Some(open + self.dice.between(0, 6)), maximum: hard_limit(pid) };
        // A process that ended meanwhile has none.
        let before = prlimit(Some(id), Resource::Nofile, tight);
        self.linger(1_500, 4_000).await;
        if let Ok(before) = before {
            let _ = prlimit(Some(id), Resource::Nofile, before);
        }
        for server in self.fleet.servers() {
            if let Ok(server) = server.try_lock() {
                server.settle(&self.run).await;
            }
        }
        self.run.end(trouble);
        true
    }

    /// The time of day steps away and back.
    async fn step_clock(&mut self) -> bool {
        let steps: [i64; 6] = [-200, -30, -3, 3, 30, 200];
        let step = steps[self.dice.index(steps.len())];
        self.run.note(&format!("the clock steps by {step} s"));
        // A smaller one ends no pin.
        let trouble = (step.abs() > PIN_SAFE_SECS).then(|| self.run.begin(Whose::Clock));
        self.clock.set(step);
        self.linger(2_500, 8_000).await;
        self.clock.set(0);
        // It is read anew once a second.
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        if let Some(trouble) = trouble {
            self.run.end(trouble);
        }
        true
    }

    /// A server that nobody else holds.
    fn any<'a>(&mut self, fleet: &'a Fleet, service: Option<&str>) -> Option<MutexGuard<'a, Server>> {
        let free = fleet.servers().iter().filter_map(|server| server.try_lock().ok());
        let mut free: Vec<_> =
            free.filter(|server| service.is_none_or(|service| server.service == service)).collect();
        let at = self.dice.index(free.len().max(1));
        (at < free.len()).then(|| free.swap_remove(at))
    }

    fn break_one(&self, server: &Server, whose: Whose) -> [super::world::Entry; 2] {
        self.run.note(&format!("{} with {} in zone {}: {whose:?}", server.name, server.version, server.zone));
        self.run.world(server.service).unsettle(&server.name);
        self.run.begin(whose)
    }

    async fn linger(&mut self, low_ms: u64, high_ms: u64) {
        tokio::time::sleep(Duration::from_millis(self.dice.between(low_ms, high_ms))).await;
    }
}

/// The limit up to which a process may set its own (proc(5)); none if there is no limit.
fn hard_limit(pid: u32) -> Option<u64> {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}
