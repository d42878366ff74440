//! Choosing again for a request whose backend turned out not to serve it: by the newest view, and inside the version that was
//! decided for, for as long as that version has a backend or may have one in a moment.

use std::rc::Rc;

use cutover_core::decide::{Choice, Decision, Facts};
use cutover_core::snapshot::BackendEntry;
use tokio::time::Instant;

use crate::error::Error;
use crate::serve::decide::{Decided, wait};
use crate::serve::exchange::Exchange;
use crate::worker::view::{ServiceView, View};

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
        let now = Instant::now();
        let waits = match decided.look(exchange, tried) {
            Prospect::Member(member) => return Ok(member),
            _ if decided.is_search => false,
            Prospect::Pending if now < until => true,
            Prospect::Tried => false,
            // Who was asked who it is, and has not answered in time, is nobody.
            Prospect::Pending | Prospect::Nothing => match decided.decide_anew(exchange, now < until, now) {
                Decision::Serve(Choice { member, .. }) if tried.contains(&decided.process(member)) => false,
                Decision::Serve(choice) => return Ok(choice.member),
                Decision::Wait => true,
                Decision::Unavailable => false,
                Decision::NoPreview => return Err(Error::PreviewUnavailable),
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

/// What the version has for another try.
pub(crate) enum Prospect {
    /// This member.
    Member(usize),
    /// None, but one that is being asked who it is.
    Pending,
    /// None but those that were tried.
    Tried,
    /// None: the version has no backend any more, or may not serve.
    Nothing,
}

impl Decided {
    /// The process behind a member.
    pub(crate) fn process(&self, member: usize) -> Tried {
        let entry = &self.version_set().members[member];
        (entry.hash, entry.generation)
    }

    /// What the version has beside those that were tried, by the newest view: a backend that drains by now is none.
    pub(crate) fn look(&mut self, exchange: &mut Exchange<'_>, tried: &[Tried]) -> Prospect {
        if !self.renew(exchange) {
            return Prospect::Nothing;
        }
        let version = self.version_set();
        let is_tried = |entry: &BackendEntry| tried.contains(&(entry.hash, entry.generation));
        let members = version.members.iter().enumerate();
        let places: Vec<usize> =
            members.filter(|(_, entry)| is_tried(entry)).map(|(place, _)| place).collect();
        let facts = self.facts(0, false, Instant::now(), exchange);
        let mut entropy = exchange.client.worker.entropy.borrow_mut();
        if let Some(member) = self.service.set.choose_again(version, &places, &facts, &mut entropy) {
            return Prospect::Member(member);
        }
        let is_asked = version.members[..version.ready].iter().any(|entry| !entry.is_sendable());
        match version.ready {
            _ if version.is_pending || is_asked => Prospect::Pending,
            0 => Prospect::Nothing,
            _ => Prospect::Tried,
        }
    }

    /// Takes up the newest view. `false` when the version is not in it, or may not serve its sessions any more.
    fn renew(&mut self, exchange: &mut Exchange<'_>) -> bool {
        let view = exchange.client.worker.view();
        if view.snapshot.generation == self.view.snapshot.generation {
            return true;
        }
        let Some((_, service)) = self.place(&view) else { return false };
        let old = self.version_set();
        let Some(at) = service.set.versions.iter().position(|set| set.label == old.label) else {
            return false;
        };
        let new = &service.set.versions[at];
        if old.serves_pins() && !new.serves_pins() {
            return false;
        }
        let chosen = old.members.get(self.choice.member).map(|entry| entry.hash);
        let member = new.members.iter().position(|entry| Some(entry.hash) == chosen);
        // A place behind the last one is nobody's: whoever serves it is another one than was chosen.
        let member = member.unwrap_or(new.members.len());
        let service = Rc::clone(service);
        exchange.decided(&service, at);
        (self.choice.version, self.choice.member) = (at, member);
        (self.service, self.view) = (service, view);
        true
    }

    /// Decides as for a request that comes now.
    fn decide_anew(&mut self, exchange: &mut Exchange<'_>, may_wait: bool, now: Instant) -> Decision {
        let view = exchange.client.worker.view();
        let Some((at, service)) = self.place(&view) else { return Decision::Unavailable };
        let facts = self.facts(at, may_wait, now, exchange);
        let decision = view.snapshot.decide(&facts, &mut exchange.client.worker.entropy.borrow_mut());
        if let Decision::Serve(choice) = decision {
            let service = Rc::clone(service);
            exchange.decided(&service, choice.version);
            self.is_explicit &= service.set.versions[choice.version].label == self.version_set().label;
            (self.choice, self.service, self.view) = (choice, service, view);
        }
        decision
    }

    /// The service in another view.
    fn place<'v>(&self, view: &'v View) -> Option<(usize, &'v Rc<ServiceView>)> {
        let at = view.snapshot.place(&self.service.set.name)?;
        Some((at, &view.services[at]))
    }

    pub(crate) fn facts<'a>(
        &'a self,
        service: usize,
        may_wait: bool,
        now: Instant,
        exchange: &Exchange<'_>,
    ) -> Facts<'a> {
        Facts {
            service,
            preview: self.preview,
            explicit: self.is_explicit.then(|| self.version_set().label.as_str()),
            pin: self.pin,
            hash_key: self.hash_key,
            is_navigation: self.is_navigation,
            may_wait,
            now: exchange.client.worker.clock.at(now),
        }
    }
}
