//! What is stored of hooks: what is owed to them, and how the latest calls ended. Services without any have none of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use cutover_core::hook::{Asked, Ended, Hooks, Leave, Owed, Turn};
use cutover_core::id::{Epoch, VersionLabel};
use cutover_core::policy::HookPoint;
use cutover_core::time::{Millis, Timestamp};
use serde::{Deserialize, Serialize};

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HooksRecord {
    asked: Option<AskedRecord>,
    owed: BTreeMap<u64, OwedRecord>,
    recent: Vec<EndedRecord>,
    next: u64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TurnRecord {
    on: String,
    version: String,
    from: Option<String>,
    epoch: u64,
    at_ms: u64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OwedRecord {
    turn: TurnRecord,
    url: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AskedRecord {
    to: String,
    epoch: u64,
    at_ms: u64,
    answer: LeaveRecord,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum LeaveRecord {
    Awaited,
    Given,
    Refused { why: String },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EndedRecord {
    number: u64,
    turn: TurnRecord,
    origin: String,
    is_delivered: bool,
    status: Option<u16>,
    tries: u32,
    took_ms: u64,
    said: String,
}

impl HooksRecord {
    pub(super) fn of(hooks: &Hooks) -> Self {
        let owed = |owed: &Owed| OwedRecord { turn: TurnRecord::of(&owed.turn), url: owed.url.to_string() };
        Self {
            asked: hooks.asked.as_ref().map(AskedRecord::of),
            owed: hooks.owed.iter().map(|(&number, it)| (number, owed(it))).collect(),
            recent: hooks.recent.iter().map(|ended| EndedRecord::of(ended)).collect(),
            next: hooks.next,
        }
    }

    pub(super) fn hooks(self) -> Result<Hooks, String> {
        let owed = |(number, record): (u64, OwedRecord)| {
            let url = record.url.parse().map_err(|error| format!("the URL of hook {number} {error}"))?;
            Ok((number, Arc::new(Owed { turn: record.turn.turn()?, url })))
        };
        let recent = self.recent.into_iter().map(|record| record.ended().map(Arc::new));
        Ok(Hooks {
            asked: self.asked.map(AskedRecord::asked).transpose()?,
            owed: self.owed.into_iter().map(owed).collect::<Result<_, String>>()?,
            recent: recent.collect::<Result<_, String>>()?,
            next: self.next,
        })
    }

    /// Whether there is nothing to store.
    pub(super) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl TurnRecord {
    fn of(turn: &Turn) -> Self {
        Self {
            on: turn.on.as_str().to_owned(),
            version: turn.version.to_string(),
            from: turn.from.as_ref().map(ToString::to_string),
            epoch: turn.epoch.0,
            at_ms: turn.at.0,
        }
    }

    fn turn(self) -> Result<Turn, String> {
        let on = HookPoint::parse(&self.on).ok_or_else(|| format!("no hook is on {:?}", self.on))?;
        let from = self.from.map(|label| label_of(&label)).transpose()?;
        let (epoch, at) = (Epoch(self.epoch), Timestamp(self.at_ms));
        Ok(Turn { on, version: label_of(&self.version)?, from, epoch, at })
    }
}

impl AskedRecord {
    fn of(asked: &Asked) -> Self {
        Self {
            to: asked.to.to_string(),
            epoch: asked.epoch.0,
            at_ms: asked.at.0,
            answer: match &asked.answer {
                Leave::Awaited => LeaveRecord::Awaited,
                Leave::Given => LeaveRecord::Given,
                Leave::Refused(why) => LeaveRecord::Refused { why: why.clone() },
            },
        }
    }

    fn asked(self) -> Result<Asked, String> {
        let answer = match self.answer {
            LeaveRecord::Awaited => Leave::Awaited,
            LeaveRecord::Given => Leave::Given,
            LeaveRecord::Refused { why } => Leave::Refused(why),
        };
        Ok(Asked { to: label_of(&self.to)?, epoch: Epoch(self.epoch), at: Timestamp(self.at_ms), answer })
    }
}

impl EndedRecord {
    fn of(ended: &Ended) -> Self {
        Self {
            number: ended.number,
            turn: TurnRecord::of(&ended.turn),
            origin: ended.origin.clone(),
            is_delivered: ended.is_delivered,
            status: ended.status,
            tries: ended.tries,
            took_ms: ended.took.0,
            said: ended.said.clone(),
        }
    }

    fn ended(self) -> Result<Ended, String> {
        Ok(Ended {
            number: self.number,
            turn: self.turn.turn()?,
            origin: self.origin,
            is_delivered: self.is_delivered,
            status: self.status,
            tries: self.tries,
            took: Millis(self.took_ms),
            said: self.said,
        })
    }
}

fn label_of(text: &str) -> Result<VersionLabel, String> {
    VersionLabel::parse(text).map_err(|error| format!("version {error}"))
}
