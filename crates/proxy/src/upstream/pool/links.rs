//! Connections of HTTP/2 to one backend, of one worker: few, each of which carries many requests.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::Ages;
use crate::h2::H2Stream;
use crate::h2::client::{Link, OpenStream};

/// All of them that take streams.
#[derive(Default)]
pub(super) struct Links {
    /// In the order in which they were opened. The first one with room is used, so that those which are not needed fall idle.
    all: RefCell<Vec<Known>>,
    /// How many were opened so far.
    opened: Cell<u64>,
    /// Held while one is opened: a burst of requests opens one, and looks again.
    pub(super) turn: Mutex<()>,
}

struct Known {
    link: Rc<Link>,
    number: u64,
    peer: Option<IpAddr>,
}

/// A place for a request.
pub(super) struct Vacancy {
    pub(super) stream: H2Stream,
    pub(super) peer: Option<IpAddr>,
    /// How long the connection had no streams before.
    pub(super) idled: Duration,
    pub(super) place: OpenStream,
}

impl Links {
    /// How many were opened so far.
    pub(super) const fn opened(&self) -> u64 {
        self.opened.get()
    }

    /// Takes up one that was opened.
    pub(super) fn add(&self, link: Rc<Link>, peer: Option<IpAddr>) {
        self.opened.set(self.opened.get() + 1);
        self.all.borrow_mut().push(Known { link, number: self.opened.get(), peer });
    }

    /// Room on one that was opened after so many others.
    pub(super) fn vacancy(&self, opened_after: u64, now: Instant) -> Option<Vacancy> {
        let all = self.all.borrow();
        all.iter().filter(|known| known.number > opened_after).find_map(|known| {
            let (stream, idled, place) = known.link.stream(now)?;
            Some(Vacancy { stream, peer: known.peer, idled, place })
        })
    }

    /// Whether there is one that has no streams, and takes none: another one would not either.
    pub(super) fn is_shut(&self, now: Instant) -> bool {
        self.all.borrow().iter().any(|known| {
            !known.link.is_leaving() && known.link.idled(now).is_some() && !known.link.has_room()
        })
    }

    /// Lets all of them end when their streams do.
    pub(super) fn leave(&self) {
        self.all.take().iter().for_each(|known| known.link.leave());
    }

    /// Keeps those that are `kept`, given how long they have had no streams; the others end when their streams do.
    pub(super) fn retain(
        &self,
        now: Instant,
        mut kept: impl FnMut(Option<Duration>, Option<IpAddr>) -> bool,
    ) {
        self.all.borrow_mut().retain(|known| {
            let is_kept = kept(known.link.idled(now), known.peer);
            if !is_kept {
                known.link.leave();
            }
            is_kept
        });
    }

    /// Forgets those that the backend ended; answers the ages of the youngest and the oldest of them that had no streams.
    pub(super) fn drop_ended(&self) -> Option<Ages> {
        let mut ages: Option<Ages> = None;
        self.all.borrow_mut().retain(|known| {
            if let Some(age) = known.link.take_end() {
                let (youngest, oldest) = ages.unwrap_or((age, age));
                ages = Some((youngest.min(age), oldest.max(age)));
            }
            !known.link.is_leaving()
        });
        ages
    }
}
