//! Tells the supervisor how the process is (sd_notify(3)): a datagram with a few lines.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use cutover_control::handle::Control;
use rustix::time::{ClockId, clock_gettime};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// Whoever supervises this process, if anybody does.
#[derive(Debug, Default)]
pub(crate) struct Supervisor {
    address: Option<SocketAddr>,
    /// How long it waits for a sign of life.
    patience: Option<Duration>,
    watchdog: Option<JoinHandle<()>>,
}

impl Supervisor {
    /// As the environment says.
    pub(crate) fn find() -> Self {
        let address = env::var_os("NOTIFY_SOCKET").and_then(|path| {
            let address = address(&path);
            if let Err(error) = &address {
                tracing::warn!(path = %path.display(), %error, "the supervisor can't be told anything");
            }
            address.ok()
        });
        let is_meant = env::var("WATCHDOG_PID").map_or(true, |pid| pid == std::process::id().to_string());
        let patience = env::var("WATCHDOG_USEC").ok().filter(|_| is_meant);
        let patience = patience.and_then(|micros| micros.parse().ok()).filter(|&micros: &u64| micros > 0);
        Self { address, patience: patience.map(Duration::from_micros), watchdog: None }
    }

    /// This process serves, also if it was another one that was started. From now on the supervisor hears that it lives, for as long as
    /// the loop of the control plane does.
    pub(crate) fn ready(&mut self, control: &Control) {
        self.tell(&format!("MAINPID={}\nREADY=1\nSTATUS=serving", std::process::id()));
        if let (Some(address), Some(patience)) = (self.address.clone(), self.patience) {
            self.watchdog = Some(tokio::spawn(live(address, patience / 2, control.clone())));
        }
    }

    /// This process takes over another configuration; [`reloaded`](Self::reloaded) tells the end of it.
    pub(crate) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// It has, or has found it wrong.
    pub(crate) fn reloaded(&self) {
        self.tell("READY=1\nSTATUS=serving");
    }

    /// Another process serves now, and is the one to supervise.
    pub(crate) fn replaced(&mut self, pid: u32) {
        self.tell(&format!("MAINPID={pid}\nSTATUS=serving"));
        self.calm();
    }

    /// This process ends.
    pub(crate) fn stopping(&mut self) {
        self.tell("STOPPING=1\nSTATUS=finishing what is under way");
    }

    fn calm(&mut self) {
        if let Some(watchdog) = self.watchdog.take() {
            watchdog.abort();
        }
    }

    fn tell(&self, what: &str) {
        let Some(address) = &self.address else { return };
        if let Err(error) = send(address, what) {
            tracing::warn!(%error, "the supervisor was not told");
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.calm();
    }
}

/// Gives signs of life, as long as the control plane does.
async fn live(address: SocketAddr, every: Duration, control: Control) {
    let mut turns = interval(every);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        match timeout(every, control.ping()).await {
            Ok(Ok(())) => {
                // The next one may get through.
                let _ = send(&address, "WATCHDOG=1");
            }
            Ok(Err(_)) => return,
            Err(_) => tracing::error!("the control plane hangs; the supervisor is not told that all is well"),
        }
    }
}

fn send(address: &SocketAddr, what: &str) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    // A supervisor that does not read must not hold up the proxy.
    socket.set_nonblocking(true)?;
    socket.send_to_addr(what.as_bytes(), address).map(drop)
}

/// A path, or after `@` a name in the abstract namespace.
fn address(path: &OsStr) -> io::Result<SocketAddr> {
    match path.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_at_a_path_and_at_an_abstract_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let name = format!("@cutover-test-{}", std::process::id());
        for place in [path.as_os_str(), OsStr::new(&name)] {
            let address = address(place).unwrap();
            let supervisor = UnixDatagram::bind_addr(&address).unwrap();
            let told = Supervisor { address: Some(address), patience: None, watchdog: None };
            told.reloaded();
            let mut text = [0; 64];
            let length = supervisor.recv(&mut text).unwrap();
            assert_eq!(&text[..length], b"READY=1\nSTATUS=serving");
        }
    }

    #[test]
    fn without_one_nothing_is_told() {
        Supervisor::default().reloading();
    }
}
