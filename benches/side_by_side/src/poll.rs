//! Readiness of many sockets, asked for without ever sleeping.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{Timespec, epoll};

/// Enough for every connection of a run to be ready at once.
const READY_MAX: usize = 256;

/// A level-triggered epoll.
#[derive(Debug)]
pub(crate) struct Poll {
    epoll: OwnedFd,
}

/// What to be told of.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Interest {
    Readable,
    /// Readable is of no interest meanwhile: the peer waits for us.
    Writable,
}

impl Poll {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { epoll: epoll::create(epoll::CreateFlags::CLOEXEC)? })
    }

    /// Starts to report `socket` as `token`, until it is closed.
    pub(crate) fn watch(&self, socket: impl AsFd, token: u64) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, socket, epoll::EventData::new_u64(token), epoll::EventFlags::IN)?)
    }

    pub(crate) fn change(&self, socket: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        let flags = match interest {
            Interest::Readable => epoll::EventFlags::IN,
            Interest::Writable => epoll::EventFlags::OUT,
        };
        Ok(epoll::modify(&self.epoll, socket, epoll::EventData::new_u64(token), flags)?)
    }

    /// Fills `tokens` with those that are ready now. Returns at once, because a sleeping generator would have to be woken by
    /// the proxy, whose CPU time it would then measure: the slower proxy would pay more of it.
    pub(crate) fn ready(&self, tokens: &mut Vec<u64>) -> io::Result<()> {
        tokens.clear();
        let mut events =
            [epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) };
                READY_MAX];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let count = match epoll::wait(&self.epoll, &mut events, Some(&now)) {
            Ok(count) => count,
            Err(rustix::io::Errno::INTR) => 0,
            Err(error) => return Err(error.into()),
        };
        tokens.extend(events.iter().take(count).map(|event| event.data.u64()));
        Ok(())
    }
}
