//! Where a body that goes on for ever may be cut without breaking anything.

use crate::message::event_stream::Events;
use crate::message::websocket::Walker;

/// The places between two pieces that its receiver takes one by one.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) enum Seam {
    /// Nobody knows what it is made of: where its sender pauses is as good a place as any.
    #[default]
    Pause,
    /// Between WebSocket frames.
    Frames(Walker),
    /// Between server-sent events.
    Events(Events),
}

impl Seam {
    /// Goes over `data`, up to the next seam if it `stops` there. Answers how many bytes that are.
    pub(super) fn pass(&mut self, data: &[u8], stops: bool) -> usize {
        match self {
            Self::Pause => data.len(),
            Self::Frames(walker) => walker.walk(data, stops),
            Self::Events(events) => events.walk(data, stops),
        }
    }

    /// Whether this is a place, given whether the sender pauses.
    pub(super) fn is_here(&self, pauses: bool) -> bool {
        match self {
            Self::Pause => pauses,
            Self::Frames(walker) => walker.is_between(),
            Self::Events(events) => events.is_between(),
        }
    }

    /// Whether the sender has said that nothing follows.
    pub(super) const fn is_last(&self) -> bool {
        match self {
            Self::Frames(walker) => walker.is_closed(),
            Self::Pause | Self::Events(_) => false,
        }
    }
}
