//! What all parts of a run share: what it is to be, what was done, what was found, and the diary of both.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::abilities::Abilities;
use super::admin::Admin;
use super::cutover::DEADLINE;
use super::options::Options;
use super::tally::Tally;
use super::world::{Entry, Whose, World};

/// Entries of the diary that are at hand when something is wrong.
const LATEST_MAX: usize = 200;
/// How long before and after that they are of interest.
const AROUND: Duration = Duration::from_secs(8);

/// One run.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) options: Options,
    pub(crate) abilities: Abilities,
    pub(crate) began: Instant,
    /// Where visitors connect to, in clear text and by TLS.
    pub(crate) plain: SocketAddr,
    pub(crate) tls: SocketAddr,
    pub(crate) admin: Admin,
    /// The process of cutover that serves.
    pub(crate) pid: AtomicU32,
    /// Chaos and changes end.
    calm: AtomicBool,
    /// Visitors end.
    closed: AtomicBool,
    /// Of the services `web` and `rpc`.
    worlds: [Mutex<World>; 2],
    tally: Mutex<Tally>,
    diary: Mutex<Diary>,
}

/// What happened, in a file, and the latest of it.
#[derive(Debug)]
struct Diary {
    file: File,
    latest: VecDeque<(Duration, String)>,
}

impl Run {
    pub(crate) fn new(
        options: Options,
        abilities: Abilities,
        plain: SocketAddr,
        tls: SocketAddr,
        admin: Admin,
    ) -> Self {
        let diary = File::create(options.out.join("diary.log")).unwrap();
        Self {
            options,
            abilities,
            began: Instant::now(),
            plain,
            tls,
            admin,
            pid: AtomicU32::new(0),
            calm: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            worlds: [world(), world()],
            tally: Mutex::default(),
            diary: Mutex::new(Diary { file: diary, latest: VecDeque::new() }),
        }
    }

    /// What was done to a service.
    pub(crate) fn world(&self, service: &str) -> MutexGuard<'_, World> {
        self.worlds[usize::from(service != "web")].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Trouble for every service begins.
    pub(crate) fn begin(&self, whose: Whose) -> [Entry; 2] {
        ["web", "rpc"].map(|service| self.world(service).begin(whose))
    }

    /// It is over.
    pub(crate) fn end(&self, trouble: [Entry; 2]) {
        for (service, entry) in ["web", "rpc"].into_iter().zip(trouble) {
            self.world(service).end(entry);
        }
    }

    pub(crate) fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which process of cutover serves.
    pub(crate) fn pid(&self) -> u32 {
        self.pid.load(Ordering::Relaxed)
    }

    /// The machine stood still since then.
    pub(crate) fn stood_still(&self, from: Instant) {
        for service in ["web", "rpc"] {
            self.world(service).stood_still(from);
        }
        self.tally().stood_still += from.elapsed();
    }

    /// Writes into the diary what happens.
    pub(crate) fn note(&self, what: &str) {
        let (mut diary, now) = (self.diary(), self.began.elapsed());
        // A diary that can't be written is missed when it is read.
        let _ = writeln!(diary.file, "{} {what}", clock(now));
        if diary.latest.len() == LATEST_MAX {
            diary.latest.pop_front();
        }
        diary.latest.push_back((now, what.to_owned()));
    }

    /// The same, for whoever watches too.
    pub(crate) fn say(&self, what: &str) {
        self.note(what);
        eprintln!("{} {what}", clock(self.began.elapsed()));
    }

    /// Tells what the judge found since this was called last.
    pub(crate) fn tell_news(&self) {
        let news = self.tally().news();
        for (of, at, what) in news {
            let at = at - self.began;
            self.say(&format!("VIOLATION of {} at {}: {what}", of.name(), clock(at)));
            for (when, what) in self.around(at) {
                eprintln!("    {} {what}", clock(when));
            }
            eprintln!("    logs: {}", self.options.out.display());
        }
    }

    /// Something is wrong that none of the guarantees is about.
    pub(crate) fn find(&self, what: String) {
        self.say(&format!("FOUND {what}"));
        self.tally().findings.push(what);
    }

    /// What happened shortly before that, and while it was found out.
    fn around(&self, at: Duration) -> Vec<(Duration, String)> {
        let near = at.saturating_sub(AROUND)..at + AROUND / 2;
        let diary = self.diary();
        let around =
            diary.latest.iter().filter(|(when, what)| near.contains(when) && !what.starts_with("VIOLATION"));
        around.cloned().collect()
    }

    fn diary(&self) -> MutexGuard<'_, Diary> {
        self.diary.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same of what did not come in time, unless the machine stood still since then.
    pub(crate) fn find_late(&self, since: Instant, what: String) {
        if self.world("web").had(Whose::Machine, since, Instant::now()) {
            self.say(&format!("late, while the machine stood still: {what}"));
        } else {
            self.find(what);
        }
    }

    pub(crate) fn is_calm(&self) -> bool {
        self.calm.load(Ordering::Relaxed)
    }

    pub(crate) fn calm_down(&self) {
        self.calm.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    /// Waits, but not longer than there is chaos.
    pub(crate) async fn pause(&self, length: Duration) {
        let until = Instant::now() + length;
        while !self.is_calm() && Instant::now() < until {
            tokio::time::sleep((until - Instant::now()).min(Duration::from_millis(100))).await;
        }
    }
}

fn world() -> Mutex<World> {
    Mutex::new(World::new(DEADLINE))
}

/// Minutes, seconds and milliseconds.
pub(crate) fn clock(time: Duration) -> String {
    format!("{:02}:{:02}.{:03}", time.as_secs() / 60, time.as_secs() % 60, time.subsec_millis())
}
