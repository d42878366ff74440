//! The clocks of the machine that cutover runs on: the wall clock, which somebody sets forward and back at any time, those that follow it, and
//! what is kept of it for the next process.

use cutover_control::clock::SkewWatch;
use cutover_control::pin_dates::{Moment, PinDates, Uptime};
use cutover_core::entropy::Entropy;
use cutover_core::pin::FUTURE_MAX_SECS;
use cutover_core::report::Skew;
use cutover_core::time::{Millis, Timestamp};

/// A worker takes over a clock that is set back by more than this; by less, it stands still.
const LEAP: Millis = Millis::from_secs(60);

/// All clocks of a machine.
pub(crate) struct Clocks {
    /// The wall clock.
    wall: Timestamp,
    /// The time by the control plane of the process that runs, which follows the wall clock only when it begins.
    pub(crate) control: Timestamp,
    /// The time by its workers, which follow the wall clock some moments later. Pins are dated and judged by it.
    pub(crate) workers: Timestamp,
    watch: SkewWatch,
    boots: u64,
    uptime: Millis,
    /// What is kept on the disk.
    kept: Option<PinDates>,
}

impl Clocks {
    pub(crate) fn new(wall: Timestamp) -> Self {
        let mut clocks = Self {
            wall,
            control: wall,
            workers: wall,
            watch: SkewWatch::default(),
            boots: 0,
            uptime: Millis(0),
            kept: None,
        };
        clocks.begin(None);
        clocks
    }

    /// Time passes, for all of them.
    pub(crate) fn pass(&mut self, span: Millis) {
        let ahead = self.workers.since(self.wall);
        (self.wall, self.control) = (self.wall + span, self.control + span);
        self.uptime = Millis(self.uptime.0 + span.0);
        let now = self.moment();
        self.kept = self.kept.take().map(|kept| if kept.is_outdated(&now) { kept.until(now) } else { kept });
        self.workers = if ahead > LEAP { self.wall } else { self.workers.max(self.wall) };
    }

    /// How far they are apart, as the control plane sees it.
    pub(crate) fn skew(&mut self) -> Skew {
        self.watch.see(self.control, self.wall)
    }

    /// Somebody sets the wall clock: forward by hours, or back by minutes.
    pub(crate) fn set(&mut self, dice: &mut Entropy) {
        match dice.below(2) {
            0 => self.wall = self.wall + Millis(dice.below(7_200_000)),
            _ => self.wall = self.wall - Millis(dice.below(240_000)),
        }
    }

    /// Cutover ended. The machine is started anew sometimes, the wall clock is set sometimes, and what was kept gets lost when it is not
    /// much that it tells.
    pub(crate) fn end(&mut self, dice: &mut Entropy) {
        if dice.below(8) == 0 {
            (self.boots, self.uptime) = (self.boots + 1, Millis(dice.below(100_000)));
        }
        if dice.below(3) == 0 {
            self.set(dice);
        }
        let now = self.moment();
        let ahead = self.kept.as_ref().map(|kept| kept.latest_by(&now).since(now.wall));
        if dice.below(8) == 0 && ahead <= Some(Millis::from_secs(FUTURE_MAX_SECS)) {
            self.kept = None;
        }
    }

    /// The latest date of pins, as the next process reads it.
    pub(crate) fn latest_pin(&self) -> Option<Timestamp> {
        Some(self.kept.as_ref()?.latest_by(&self.moment()))
    }

    /// A process begins, which believes that pins may be dated so far ahead.
    pub(crate) fn begin(&mut self, ahead: Option<Millis>) {
        (self.control, self.workers, self.watch) = (self.wall, self.wall, SkewWatch::default());
        self.kept = Some(PinDates::new(self.wall + ahead.unwrap_or_default(), self.moment()));
    }

    /// The wall clock.
    pub(crate) fn wall(&self) -> Timestamp {
        self.wall
    }

    fn moment(&self) -> Moment {
        let uptime = Uptime { boot_id: self.boots.to_string(), span: self.uptime };
        Moment { wall: self.wall, uptime: Some(uptime) }
    }
}
