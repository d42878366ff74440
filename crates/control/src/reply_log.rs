//! The answers that are kept, for a day and up to a number. What is here is in the store, too.

use std::collections::{BTreeMap, BTreeSet};

use cutover_core::time::{Millis, Timestamp};

use crate::reply::{Digest, KeptReply};

/// Answers that are kept; beyond, the oldest goes.
pub const REPLIES_MAX: usize = 10_000;
/// How long an answer is kept.
pub const KEPT_FOR: Millis = Millis::from_secs(24 * 3600);
/// Outdated answers that one commit takes out. Each commit brings in one, so they get fewer, and no commit is slow after a day of many.
const OUTDATED_MAX: usize = 64;

/// The answers that are kept.
#[derive(Debug, Default)]
pub struct ReplyLog {
    kept: BTreeMap<Digest, KeptReply>,
    /// The same, oldest first.
    by_age: BTreeSet<(Timestamp, Digest)>,
}

/// An answer on its way into the log, and the ones that leave it in the same commit.
#[derive(Debug, Clone)]
pub struct Keeping {
    /// Under which key.
    pub id: Digest,
    /// The answer.
    pub reply: KeptReply,
    /// What is outdated.
    pub outdated: Vec<Digest>,
}

impl ReplyLog {
    /// A log that begins with the answers of earlier runs.
    #[must_use]
    pub fn new(replies: impl IntoIterator<Item = (Digest, KeptReply)>) -> Self {
        let mut log = Self::default();
        replies.into_iter().for_each(|(id, reply)| log.insert(id, reply));
        log
    }

    /// The answer that was given under a key.
    #[must_use]
    pub fn find(&self, id: Digest, now: Timestamp) -> Option<&KeptReply> {
        self.kept.get(&id).filter(|reply| !is_expired(reply.at, now))
    }

    /// Says what must be stored and deleted so that an answer is kept.
    #[must_use]
    pub fn keeping(&self, id: Digest, reply: KeptReply) -> Keeping {
        let count = self.kept.len() + usize::from(!self.kept.contains_key(&id));
        let beyond = count.saturating_sub(REPLIES_MAX);
        let others = self.by_age.iter().filter(|(_, other)| *other != id).enumerate();
        let outdated = others
            .take_while(|(place, (at, _))| *place < beyond || is_expired(*at, reply.at))
            .map(|(_, (_, other))| *other)
            .take(OUTDATED_MAX);
        Keeping { id, outdated: outdated.collect(), reply }
    }

    /// Keeps an answer, once it is committed.
    pub fn keep(&mut self, keeping: Keeping) {
        keeping.outdated.iter().for_each(|id| self.remove(id));
        self.insert(keeping.id, keeping.reply);
    }

    fn insert(&mut self, id: Digest, reply: KeptReply) {
        self.remove(&id);
        self.by_age.insert((reply.at, id));
        self.kept.insert(id, reply);
    }

    fn remove(&mut self, id: &Digest) {
        if let Some(reply) = self.kept.remove(id) {
            self.by_age.remove(&(reply.at, *id));
        }
    }
}

fn is_expired(at: Timestamp, now: Timestamp) -> bool {
    now.since(at) >= KEPT_FOR
}

#[cfg(test)]
mod tests {
    use cutover_core::id::Revision;
    use http::StatusCode;

    use super::*;
    use crate::reply::Reply;

    const BEGAN: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn id(number: usize) -> Digest {
        Digest::of(&[&number.to_be_bytes()])
    }

    fn keep(log: &mut ReplyLog, number: usize, at: Timestamp) -> Vec<Digest> {
        let reply = Reply { status: StatusCode::OK, revision: Revision(7), body: "{}".into() };
        let keeping = log.keeping(id(number), KeptReply { at, fingerprint: id(0), reply });
        log.keep(keeping.clone());
        keeping.outdated
    }

    #[test]
    fn an_answer_is_kept_for_a_day_and_deleted_by_a_later_one() {
        let mut log = ReplyLog::default();
        keep(&mut log, 1, BEGAN);
        let [before, after] = [KEPT_FOR.0 - 1, KEPT_FOR.0].map(|ms| BEGAN + Millis(ms));
        assert!(log.find(id(1), before).is_some() && log.find(id(1), after).is_none());
        assert!(keep(&mut log, 2, before).is_empty());
        assert_eq!(keep(&mut log, 3, after), [id(1)]);
        assert_eq!((log.kept.len(), log.by_age.len()), (2, 2));
    }

    #[test]
    fn a_key_whose_answer_expired_is_used_again_without_deleting_it() {
        let mut log = ReplyLog::default();
        keep(&mut log, 1, BEGAN);
        let later = BEGAN + KEPT_FOR;
        assert!(keep(&mut log, 1, later).is_empty());
        assert_eq!(log.find(id(1), later).map(|reply| reply.at), Some(later));
        assert_eq!((log.kept.len(), log.by_age.len()), (1, 1));
    }

    #[test]
    fn beyond_the_bound_the_oldest_goes() {
        let mut log = ReplyLog::default();
        for number in 0..REPLIES_MAX {
            assert!(keep(&mut log, number, BEGAN + Millis(number as u64)).is_empty());
        }
        assert_eq!(keep(&mut log, REPLIES_MAX, BEGAN + Millis(REPLIES_MAX as u64)), [id(0)]);
        assert_eq!((log.kept.len(), log.by_age.len()), (REPLIES_MAX, REPLIES_MAX));
    }

    #[test]
    fn a_day_of_many_is_deleted_bit_by_bit() {
        let mut log = ReplyLog::default();
        (0..200).for_each(|number| drop(keep(&mut log, number, BEGAN)));
        let deleted = |number| keep(&mut log, number, BEGAN + KEPT_FOR).len();
        assert_eq!((200..205).map(deleted).collect::<Vec<_>>(), [64, 64, 64, 8, 0]);
    }
}
