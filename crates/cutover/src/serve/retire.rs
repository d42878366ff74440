//! The rest of a process that was replaced: it accepts nothing any more, finishes what it began, follows what its successor commits, and
//! ends when nothing is left.

use std::time::Duration;

use cutover_control::admin::Ask;
use cutover_control::handle::Control;
use cutover_proxy::Handle;
use cutover_proxy::access_log::AccessLog;
use tokio::time::{Instant, sleep, sleep_until};

use super::upgrades::answer;
use super::{Planes, SHUTDOWN_TIMEOUT, finish};
use crate::signals::{Signal, Signals};
use crate::upgrade::{Heir, Ties};

/// How long what was begun may go on. Tunnels have no end of their own; those that are left are told to come again.
const LEFT_OVER_MAX: Duration = Duration::from_secs(3600);
/// Time between looks whether the process before this one has ended.
const LOOK: Duration = Duration::from_millis(100);

/// Lets everything end that was begun. A signal gives it as long as it would have without the upgrade, a second one ends it at once.
pub(super) async fn retire(planes: Planes, (heir, ask): (Heir, Option<Ask>), signals: &mut Signals) {
    let Planes { mut proxy, certificates, issued, rest, control, mut admin, .. } = planes;
    proxy.retire(LEFT_OVER_MAX + SHUTDOWN_TIMEOUT);
    tracing::info!(pid = heir.successor.pid, "another process serves now; what was begun here goes on");
    // The successor watches their files and renews them.
    drop((certificates, issued));
    control.retire();
    let handle = control.control();
    let successor = heir.successor.clone();
    let ties = heir.keep_up(&handle);
    admin.leave().await;
    // Not before: whatever is asked from now on is asked of the successor.
    answer(ask, Ok(successor));
    let admin = tokio::spawn(admin.retire());
    let cut = end(&mut proxy, &ties, rest.access_log.as_ref(), signals).await;
    tokio::select! {
        () = outlive_elder(&handle) => {}
        () = stopped(signals) => {}
    }
    ties.end().await;
    if let Err(error) = admin.await {
        tracing::error!(%error, "the admin API broke");
    }
    control.stop().await;
    finish(rest).await;
    tracing::info!(cut, "stopped, another process serves");
}

/// Waits until no connection is left; answers how many had to be cut off.
async fn end(proxy: &mut Handle, ties: &Ties, log: Option<&AccessLog>, signals: &mut Signals) -> u64 {
    let mut hurries_at = Some(Instant::now() + LEFT_OVER_MAX);
    loop {
        let reason = tokio::select! {
            cut = proxy.ended() => return cut,
            () = ties.lost.notified() => "the successor can't be followed",
            () = sleep_until(hurries_at.unwrap_or_else(Instant::now)), if hurries_at.is_some() => "it took too long",
            signal = signals.next() => match signal {
                Signal::Stop(name) => name,
                Signal::Reopen => {
                    log.into_iter().for_each(AccessLog::reopen);
                    continue;
                }
                Signal::Reload | Signal::Upgrade => continue,
            },
        };
        let limit = if hurries_at.take().is_some() { SHUTDOWN_TIMEOUT } else { Duration::ZERO };
        tracing::info!(reason, ?limit, "ending what is left");
        proxy.shutdown(limit);
    }
}

/// What the process before this one still does is told to the successor by this one.
async fn outlive_elder(control: &Control) {
    while control.elder().pid().is_some() {
        sleep(LOOK).await;
    }
}

async fn stopped(signals: &mut Signals) {
    while !matches!(signals.next().await, Signal::Stop(_)) {}
}
