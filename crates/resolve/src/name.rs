//! Names that somebody uses, and the addresses that each has right now.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use tokio::sync::{Notify, mpsc};

use crate::belief::News;
use crate::dns::Dns;
use crate::error::LookUpError;
use crate::keeper::Keeper;

/// All names that are kept resolved. A clone is the same.
#[derive(Debug, Clone)]
pub struct Names {
    known: Known,
    /// Takes new names to the keeper. Unbounded, because there are never more than names that are known.
    new: mpsc::UnboundedSender<Arc<Name>>,
}

/// Every name by its text. The lock is held for map operations, and taken when a backend becomes known, never for a connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known(Arc<Mutex<HashMap<Box<str>, Arc<Name>>>>);

/// Holders of a name that nobody uses: the map, and the task that keeps it.
const HOLDERS_OF_OUR_OWN: usize = 2;

/// One name. What it resolves to is kept up to date for as long as somebody holds it.
#[derive(Debug)]
pub struct Name {
    host: Box<str>,
    /// `None` until the first look-up is over.
    answer: ArcSwapOption<Answer>,
    /// Told when that is so.
    answered: Notify,
    /// Whose turn it is to be connected to first.
    turn: AtomicUsize,
}

type Answer = Result<Box<[IpAddr]>, LookUpError>;

impl Names {
    /// Names that are looked up by `dns`, for as long as the keeper [runs](Keeper::run).
    #[must_use]
    pub fn new(dns: Dns) -> (Self, Keeper) {
        let (new, names) = mpsc::unbounded_channel();
        let known = Known::default();
        (Self { known: known.clone(), new }, Keeper::new(dns, known, names))
    }

    /// The name `host`, which is looked up from now on if it is not already.
    #[must_use]
    pub fn name(&self, host: &str) -> Arc<Name> {
        let mut known = self.known.lock();
        match known.entry(host.into()) {
            Entry::Occupied(known) => Arc::clone(known.get()),
            Entry::Vacant(vacant) => {
                let name = Arc::new(Name::new(host));
                if self.new.send(Arc::clone(&name)).is_ok() {
                    vacant.insert(Arc::clone(&name));
                } else {
                    name.hear(News::Lost(LookUpError::Ended));
                }
                name
            }
        }
    }
}

/// Names that nobody looks up: for those who have only addresses.
impl Default for Names {
    fn default() -> Self {
        let (new, _) = mpsc::unbounded_channel();
        Self { known: Known::default(), new }
    }
}

impl Known {
    /// Whether somebody uses `name`.
    pub(crate) fn is_held(name: &Arc<Name>) -> bool {
        Arc::strong_count(name) > HOLDERS_OF_OUR_OWN
    }

    /// Forgets `name` if nobody else holds it. Answers whether it was forgotten.
    pub(crate) fn forget_unused(&self, name: &Arc<Name>) -> bool {
        let mut known = self.lock();
        // Another holder can come only through the map, which is locked.
        let is_unused = !Self::is_held(name);
        if is_unused {
            known.remove(&name.host);
        }
        is_unused
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Arc<Name>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Name {
    fn new(host: &str) -> Self {
        Self {
            host: host.into(),
            answer: ArcSwapOption::empty(),
            answered: Notify::new(),
            turn: AtomicUsize::new(0),
        }
    }

    /// The name itself.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The addresses, at least one, in the order in which they are to be tried: each call begins with the next one, so that all of
    /// them are used. Waits only while the name was never looked up.
    ///
    /// # Errors
    /// [`LookUpError`], when no look-up had an address yet, or the name has none any more.
    pub async fn addresses(&self) -> Result<Vec<IpAddr>, LookUpError> {
        let mut answered = pin!(self.answered.notified());
        // Before looking, so that an answer in between wakes.
        answered.as_mut().enable();
        if self.answer.load().is_none() {
            answered.await;
        }
        match self.answer.load().as_deref() {
            None => Err(LookUpError::Ended),
            Some(Err(error)) => Err(error.clone()),
            Some(Ok(addresses)) => {
                let mut order = addresses.to_vec();
                let turn = self.turn.fetch_add(1, Ordering::Relaxed);
                order.rotate_left(turn.checked_rem(addresses.len()).unwrap_or(0));
                Ok(order)
            }
        }
    }

    /// Whether `address` is one of those that the name has. Any is while it isn't known which.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        match self.answer.load().as_deref() {
            Some(Ok(addresses)) => addresses.contains(&address),
            Some(Err(LookUpError::NoAddress)) => false,
            Some(Err(LookUpError::Failed(_) | LookUpError::Ended)) | None => true,
        }
    }

    /// Takes over what a look-up brought.
    pub(crate) fn hear(&self, news: News) {
        let answer = match news {
            News::None => return,
            News::Addresses(addresses) => Ok(addresses),
            News::Lost(error) => Err(error),
        };
        self.answer.store(Some(Arc::new(answer)));
        self.answered.notify_waiters();
    }
}
