//! Addresses of one backend's host name: looked up again and again, since names move.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// How long an answer is used. Short, because a name that moves is a backend that moves; long enough that a busy backend
/// costs one look-up, not thousands.
const FRESH_FOR: Duration = Duration::from_secs(5);
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
        let found = tokio::net::lookup_host((host, port)).await;
        let found = found.map(|found| found.take(ADDRESSES_MAX).collect::<Rc<[_]>>());
        let mut known = self.known.borrow_mut();
        match (found, known.as_ref()) {
            (Ok(addresses), _) if !addresses.is_empty() => {
                *known = Some(Answer { addresses: Rc::clone(&addresses), at: Instant::now() });
                Ok(addresses)
            }
            (_, Some(old)) => Ok(Rc::clone(&old.addresses)),
            (Ok(_), None) => Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address")),
            (Err(error), None) => Err(error),
        }
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
            assert!(Resolver::default().addresses("no-such-host.invalid", 80).await.is_err());
        });
    }
}
