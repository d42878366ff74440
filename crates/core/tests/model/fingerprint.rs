//! What tells two states of the fleet apart. Backends and sessions have no names in it, and times are relative.

use std::fmt::{self, Write as _};
use std::hash::{DefaultHasher, Hash, Hasher};

use cutover_core::backend::{AdminState, Operational};

use crate::fleet::{Fleet, Session, id};

impl Fleet {
    /// What tells states apart that go on differently.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.text().hash(&mut hasher);
        hasher.finish()
    }

    fn text(&self) -> String {
        let service = self.service();
        let roll = &service.roll;
        let mut backends: Vec<String> =
            (0..self.processes.len()).map(|backend| self.backend_text(backend)).collect();
        backends.sort_unstable();
        let mut sessions: Vec<String> =
            self.sessions.iter().map(|session| self.session_text(session)).collect();
        sessions.sort_unstable();
        let mut text = format!("{backends:#?} {sessions:#?} {:?}", self.budget);
        let is_aborted = self.is_aborted;
        write!(text, " {:?} {} {} {:?}", roll.state, roll.batch, roll.taken, roll.to).unwrap();
        write!(text, " {:?} {} {} {is_aborted}", service.active, service.epoch, service.learned_weight)
            .unwrap();
        for version in service.versions.values() {
            let age = version.demoted_at.map(|at| self.now.since(at));
            let pins = version.pins_until.since(self.now);
            let ended = version.drained.map(|drained| drained.by);
            let (is_bad, is_sealed) = (version.rejected.is_some(), version.is_sealed);
            write!(text, " {:?} {age:?} {pins:?} {ended:?} {is_bad} {is_sealed}", version.role).unwrap();
        }
        text
    }

    fn backend_text(&self, backend: usize) -> String {
        let (service, name) = (self.service(), id(backend));
        let believed = &service.backends[&name];
        let operational = match believed.operational {
            Operational::Starting => 's',
            Operational::Up(_) => 'u',
            Operational::Down(_) => 'd',
        };
        let drains =
            (believed.admin.state == AdminState::Drain).then(|| self.now.since(believed.admin.since));
        let permit = service.roll.permits.get(&name).map(|permit| {
            let left = permit.deadline.map(|deadline| deadline.since(self.now));
            (left, permit.is_away, permit.process.version == believed.version)
        });
        let requests = self.sessions.iter().enumerate();
        let requests: Vec<usize> = requests
            .filter(|(_, session)| session.request.as_ref().is_some_and(|(other, _)| *other == backend))
            .map(|(at, _)| at)
            .collect();
        let is_done = service.roll.done.contains(&name);
        let process = self.processes[backend];
        format!(
            "{process:?}{:?}{operational}{:?}{drains:?}{permit:?}{requests:?}{is_done}",
            believed.version, believed.identity
        )
    }

    fn session_text(&self, session: &Session) -> String {
        let pin = self
            .pin(session)
            .map(|pin| (pin.epoch, pin.version, self.now.since(pin.issued_at), self.now.since(pin.born_at)));
        let request = session.request.as_ref().map(|(_, version)| version);
        format!("{pin:?}{:?}{:?}{request:?}", session.version, session.epoch)
    }
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}\n{}\n{}", self.path, self.text(), self.service().roll.reason)
    }
}
