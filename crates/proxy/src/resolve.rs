//! Addresses of one backend's host name: looked up again and again, since names move.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

/// How long an answer is used. Short, because a name that moves is a backend that moves; long enough that a busy backend
/// costs one look-up, not thousands.
const FRESH_FOR: Duration = Duration::from_secs(5);
/// How long a name that was found before is looked up. A resolver that can't be reached lets its clients wait for half a minute, which
/// is longer than a connection may take.
const PATIENCE: Duration = Duration::from_millis(500);
/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 16;

/// What is known about one host name.
#[derive(Debug, Default)]
pub(crate) struct Resolver {
    known: RefCell<Option<Answer>>,
    /// Held while looking up, so that a burst of connections asks once.
    turn: Mutex<()>,
}

#[derive(Debug, Clone)]
struct Answer {
    addresses: Rc<[SocketAddr]>,
    at: Instant,
}

impl Resolver {
    /// The addresses of `host`, in the resolver's order. When a look-up fails, those that it had before are still good.
    pub(crate) async fn addresses(&self, host: &str, port: u16) -> io::Result<Rc<[SocketAddr]>> {
        if let Ok(ip) = host.parse() {
            return Ok(Rc::new([SocketAddr::new(ip, port)]));
        }
        if let Some(addresses) = self.fresh() {
            return Ok(addresses);
        }
        let _turn = self.turn.lock().await;
        if let Some(addresses) = self.fresh() {
            return Ok(addresses);
        }
        let found = self.look_up(host, port).await;
        let mut known = self.known.borrow_mut();
        match (found, known.as_mut()) {
            (Ok(addresses), _) if !addresses.is_empty() => {
                *known = Some(Answer { addresses: Rc::clone(&addresses), at: Instant::now() });
                Ok(addresses)
            }
            (_, Some(old)) => {
                // For another while: a resolver in trouble must not be asked, and waited for, by every connection.
                old.at = Instant::now();
                Ok(Rc::clone(&old.addresses))
            }
            (Ok(_), None) => Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address")),
            (Err(error), None) => Err(error),
        }
    }

    /// Asks the system; not for long when there are addresses to go on with.
    async fn look_up(&self, host: &str, port: u16) -> io::Result<Rc<[SocketAddr]>> {
        let is_known = self.known.borrow().is_some();
        let found = tokio::net::lookup_host((host, port));
        let found = match is_known {
            true => timeout(PATIENCE, found)
                .await
                .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?
                .collect(),
            false => found.await?.collect::<Vec<_>>(),
        };
        Ok(found.into_iter().take(ADDRESSES_MAX).collect())
    }

    fn fresh(&self) -> Option<Rc<[SocketAddr]>> {
        let known = self.known.borrow();
        known.as_ref().filter(|answer| answer.at.elapsed() < FRESH_FOR).map(|a| Rc::clone(&a.addresses))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn an_address_needs_no_look_up() {
        let found = run(Resolver::default().addresses("::1", 80)).unwrap();
        assert_eq!(*found, ["[::1]:80".parse().unwrap()]);
    }

    #[test]
    fn a_name_is_looked_up_once_in_a_while() {
        run(async {
            let resolver = Resolver::default();
            let first = resolver.addresses("localhost", 80).await.unwrap();
            let second = resolver.addresses("localhost", 80).await.unwrap();
            assert!(first.iter().all(|address| address.ip().is_loopback()));
            assert!(Rc::ptr_eq(&first, &second));
        });
    }

    #[test]
    fn the_last_answer_outlives_a_failing_look_up() {
        run(async {
            let resolver = Resolver::default();
            let addresses: Rc<[SocketAddr]> = Rc::new(["10.0.0.1:80".parse().unwrap()]);
            let at = Instant::now().checked_sub(FRESH_FOR).unwrap();
            *resolver.known.borrow_mut() = Some(Answer { addresses, at });
            let found = resolver.addresses("no-such-host.invalid", 80).await.unwrap();
            assert_eq!(found.len(), 1);
            assert!(resolver.fresh().is_some(), "it is not asked again at once");
            assert!(Resolver::default().addresses("no-such-host.invalid", 80).await.is_err());
        });
    }
}
