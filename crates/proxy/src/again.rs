//! Choosing again for a request whose backend turned out not to serve it: by the newest view, and inside the version that was
//! decided for, for as long as that version has a backend or may have one in a moment.

use cutover_core::decide::{Decision, Facts};
use cutover_core::snapshot::VersionSet;
use tokio::time::Instant;

use crate::decide::{Decided, wait};
use crate::error::Error;
use crate::exchange::Exchange;
use crate::view::View;

/// A process that was tried: the backend by the hash of its name, and the generation under which it was known.
pub(crate) type Tried = (u64, u32);

/// The member for the next try: none of `tried`. Waits until `until` while the version may get one.
///
/// # Errors
/// `otherwise` when there is none; what a new decision says when the version has no backend left.
pub(crate) async fn choose(
    exchange: &mut Exchange<'_>,
    decided: &mut Decided,
    tried: &[Tried],
    until: Instant,
    otherwise: Error,
) -> Result<usize, Error> {
    let mut place = None;
    loop {
        if let Some(member) = decided.choose(exchange, tried) {
            return Ok(member);
        }
        let now = Instant::now();
        let waits = match decided.prospect() {
            Prospect::Pending => true,
            Prospect::Tried => false,
            Prospect::Nothing => match decided.decide_anew(exchange, now < until, now) {
                Decision::Serve(choice) => {
                    let member = choice.member;
                    return if tried.contains(&decided.process(member)) {
                        Err(otherwise)
                    } else {
                        Ok(member)
                    };
                }
                Decision::Wait => true,
                Decision::Unavailable => false,
                Decision::MissingVersion(what) => return Err(Error::MissingVersion(what)),
            },
        };
        if !waits || now >= until {
            return Err(otherwise);
        }
        if place.is_none() {
            place = Some(exchange.client.worker.queue.enter().ok_or(Error::Overloaded)?);
        }
        wait(exchange, until).await?;
    }
}

/// What a version that has no member for another try may have in a moment.
enum Prospect {
    /// One that is being asked who it is.
    Pending,
    /// None but those that were tried.
    Tried,
    /// None: the version has no backend any more.
    Nothing,
}

impl Decided {
    /// The process behind a member.
    pub(crate) fn process(&self, member: usize) -> Tried {
        let entry = &self.version_set().members[member];
        (entry.hash, entry.generation)
    }

    /// A member of the version that was not tried, by the newest view: a backend that drains by now is none.
    pub(crate) fn choose(&mut self, exchange: &mut Exchange<'_>, tried: &[Tried]) -> Option<usize> {
        if !self.renew(exchange) {
            return None;
        }
        let worker = &exchange.client.worker;
        let members = self.version_set().members.iter().enumerate();
        let places: Vec<usize> = members
            .filter(|(_, entry)| tried.contains(&(entry.hash, entry.generation)))
            .map(|(at, _)| at)
            .collect();
        let facts = self.facts(0, false, Instant::now(), exchange);
        let mut entropy = worker.entropy.borrow_mut();
        self.service.set.choose_again(self.version_set(), &places, &facts, &mut entropy)
    }

    /// Takes up the newest view. `false` when the version is not in it.
    fn renew(&mut self, exchange: &mut Exchange<'_>) -> bool {
        let view = exchange.client.worker.view();
        if view.snapshot.generation == self.view.snapshot.generation {
            return true;
        }
        let Some((_, service)) = self.place(&view) else { return false };
        let old = self.version_set();
        let Some(version) = service.set.versions.iter().position(|set| set.label == old.label) else {
            return false;
        };
        let members = &service.set.versions[version].members;
        let chosen = old.members.get(self.choice.member).map(|entry| entry.hash);
        // A place behind the last one is nobody's: whoever serves it is another one than was chosen.
        let member = members.iter().position(|entry| Some(entry.hash) == chosen).unwrap_or(members.len());
        (self.choice.version, self.choice.member) = (version, member);
        self.service = std::rc::Rc::clone(service);
        self.view = view;
        exchange.decided(&self.service, version);
        true
    }

    fn prospect(&self) -> Prospect {
        let version: &VersionSet = self.version_set();
        let is_asked = version.members[..version.ready].iter().any(|entry| !entry.is_sendable());
        match version.ready {
            _ if version.is_pending || is_asked => Prospect::Pending,
            0 => Prospect::Nothing,
            _ => Prospect::Tried,
        }
    }

    /// Decides as for a request that comes now.
    fn decide_anew(&mut self, exchange: &mut Exchange<'_>, may_wait: bool, now: Instant) -> Decision {
        let view = exchange.client.worker.view();
        let Some((at, service)) = self.place(&view) else { return Decision::Unavailable };
        let facts = self.facts(at, may_wait, now, exchange);
        let decision = view.snapshot.decide(&facts, &mut exchange.client.worker.entropy.borrow_mut());
        if let Decision::Serve(choice) = decision {
            let service = std::rc::Rc::clone(service);
            exchange.decided(&service, choice.version);
            (self.choice, self.service, self.view) = (choice, service, view);
        }
        decision
    }

    /// The service in another view.
    fn place<'v>(&self, view: &'v View) -> Option<(usize, &'v std::rc::Rc<crate::view::ServiceView>)> {
        let mut services = view.services.iter().enumerate();
        services.find(|(_, service)| service.set.name == self.service.set.name)
    }

    fn facts<'a>(
        &'a self,
        service: usize,
        may_wait: bool,
        now: Instant,
        exchange: &Exchange<'_>,
    ) -> Facts<'a> {
        Facts {
            service,
            explicit: self.is_explicit.then(|| self.version_set().label.as_str()),
            pin: self.pin,
            hash_key: self.hash_key,
            may_wait,
            now: exchange.client.worker.clock.at(now),
        }
    }
}
