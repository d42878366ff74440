//! What is stored of the control state: one JSON document for each service (also those that are gone), backend, version, pin key, timeline entry
//! and kept reply.
//!
//! Only facts that somebody decided are stored. What was merely observed (health, identities, ejections, how long a quorum stands) is
//! observed anew after a restart, so it changes no record.

mod backend;
mod bake;
mod canary;
mod departed;
mod entry;
mod hooks;
mod pin_key;
mod reply;
mod roll;
mod service;
#[cfg(test)]
mod tests;
mod version;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

use cutover_core::backend::Backend;
use cutover_core::departed::Departed;
use cutover_core::id::{Epoch, ServiceName};
use cutover_core::policy::Policy;
use cutover_core::service::Service;
use cutover_core::state::State;
use cutover_core::time::Timestamp;
use cutover_core::version::Version;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use self::backend::BackendRecord;
use self::departed::DepartedRecord;
use self::entry::EntryRecord;
use self::pin_key::PinKeyRecord;
use self::reply::ReplyRecord;
use self::service::ServiceRecord;
use self::version::VersionRecord;
use super::{Change, Document, Key};
use crate::reply::{Digest, KeptReply};
use crate::reply_log::Keeping;
use crate::timeline::{Entry, EventId};
use crate::walk::differences;

/// The format that this release writes, and the only one there ever was.
const FORMAT: u32 = 1;

/// Reads the policy of a service from the document that it was put with.
pub type ReadPolicy = fn(&ServiceName, &str) -> Result<Arc<Policy>, String>;

/// Why a record is not what this release writes. Nothing is guessed: cutover does not start.
#[derive(Debug, Error)]
pub enum RecordError {
    /// A newer release wrote it.
    #[error("{key} has format {format}, this release reads up to {newest}; start the release that wrote it")]
    Newer {
        /// The record's name.
        key: Key,
        /// Its format.
        format: u32,
        /// The newest format that is understood.
        newest: u32,
    },
    /// No record of this release has such a name: a newer one wrote it, or somebody else.
    #[error("{key} is no record of this release; start the release that wrote it")]
    Unknown {
        /// The record's name.
        key: Key,
    },
    /// It makes no sense.
    #[error("{key} is damaged: {cause}")]
    Damaged {
        /// The record's name.
        key: Key,
        /// What is wrong with it.
        cause: String,
    },
}

/// What must be stored so that the store holds another state.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// The records that change.
    pub changes: BTreeMap<Key, Change>,
    /// The services that they are about.
    pub services: BTreeSet<ServiceName>,
}

/// What the records hold.
#[derive(Debug)]
pub struct Stored {
    /// The control state, with nothing observed yet. Services of the configuration file have the default policy until they are configured.
    pub state: State,
    /// The timeline, oldest first.
    pub timeline: Vec<Entry>,
    /// The answers that are kept.
    pub replies: Vec<(Digest, KeptReply)>,
}

/// What changes in the records from one state to the next. What the two share is not looked at.
#[must_use]
pub fn difference(before: &State, after: &State) -> Difference {
    let mut changes = Changes::default();
    let mut services = BTreeSet::new();
    for (name, old, new) in differences(&before.services, &after.services) {
        let count = changes.0.len();
        changes.compare_service(name, old, new);
        if changes.0.len() > count {
            services.insert(name.clone());
        }
    }
    changes.compare_departed(&before.departed, &after.departed);
    changes.compare_pin_keys(before, after);
    Difference { changes: changes.0, services }
}

/// Whether two services have the same record, their backends and versions aside.
#[must_use]
pub fn is_same_service(a: &Service, b: &Service) -> bool {
    ServiceRecord::of(a) == ServiceRecord::of(b)
}

/// Whether two backends have the same record.
#[must_use]
pub fn is_same_backend(a: &Backend, b: &Backend) -> bool {
    BackendRecord::of(a) == BackendRecord::of(b)
}

/// Whether two versions have the same record.
#[must_use]
pub fn is_same_version(a: &Version, b: &Version) -> bool {
    VersionRecord::of(a) == VersionRecord::of(b)
}

/// The changes that bring timeline entries into the store and take others out.
pub fn timeline<'a>(
    added: impl IntoIterator<Item = &'a Entry>,
    outdated: impl IntoIterator<Item = &'a Entry>,
) -> impl Iterator<Item = (Key, Change)> {
    let deleted = outdated.into_iter().map(|entry| (entry::key(entry), Change::Delete));
    deleted.chain(added.into_iter().map(|entry| (entry::key(entry), put(&EntryRecord::of(entry)))))
}

/// The changes that bring a kept reply into the store and take outdated ones out.
pub fn reply(keeping: &Keeping) -> impl Iterator<Item = (Key, Change)> {
    let deleted = keeping.outdated.iter().map(|id| (reply::key(*id), Change::Delete));
    deleted.chain([(reply::key(keeping.id), put(&ReplyRecord::of(&keeping.reply)))])
}

/// Reads all records. Leases and holds get a full term from `now` on.
///
/// # Errors
/// [`RecordError`] for the first record that is not understood.
pub fn read(
    records: &BTreeMap<Key, Document>,
    read_policy: ReadPolicy,
    now: Timestamp,
) -> Result<Stored, RecordError> {
    let mut state = State::default();
    let mut pin_keys = Vec::new();
    let mut timeline = Vec::new();
    let mut replies = Vec::new();
    // Services first: the others belong to one.
    for (key, document) in records.range(Key::new("service").subtree()) {
        let mut segments = Segments::of(key);
        segments.next::<String>()?;
        let name = segments.last()?;
        let service = document.read::<ServiceRecord>(key)?.service(name, read_policy);
        let service = service.map_err(|cause| damaged(key, cause))?;
        state.services.insert(service.name.clone(), Arc::new(service));
    }
    for (key, document) in records {
        let mut segments = Segments::of(key);
        match segments.next::<String>()?.as_str() {
            "service" => {}
            "backend" => {
                let service = service_of(&mut state, &mut segments)?;
                let backend = document.read::<BackendRecord>(key)?.backend(segments.last()?, now);
                let backend = backend.map_err(|cause| damaged(key, cause))?;
                service.backends.insert(backend.id.clone(), Arc::new(backend));
            }
            "version" => {
                let service = service_of(&mut state, &mut segments)?;
                let version = document.read::<VersionRecord>(key)?.version(segments.last()?, now);
                let version = version.map_err(|cause| damaged(key, cause))?;
                service.versions.insert(version.label.clone(), Arc::new(version));
            }
            "departed" => {
                let epoch = document.read::<DepartedRecord>(key)?.epoch();
                let departed = Arc::make_mut(&mut state.departed);
                if *key == departed::forgotten_key() {
                    departed.forgotten = epoch;
                } else {
                    departed.epochs.insert(segments.last()?, epoch);
                }
            }
            "key" if segments.next::<String>()? == "pin" => {
                let pin_key = document.read::<PinKeyRecord>(key)?.pin_key(segments.last()?);
                pin_keys.push(pin_key.map_err(|cause| damaged(key, cause))?);
            }
            "timeline" => {
                let (service, id) = (segments.next()?, segments.last()?);
                let entry = document.read::<EntryRecord>(key)?.entry(service, EventId(id));
                timeline.push(entry.map_err(|cause| damaged(key, cause))?);
            }
            "reply" => {
                let reply = document.read::<ReplyRecord>(key)?.reply();
                replies.push((segments.last()?, reply.map_err(|cause| damaged(key, cause))?));
            }
            _ => return Err(RecordError::Unknown { key: key.clone() }),
        }
    }
    pin_keys.sort_by_key(|(place, _)| *place);
    state.pin_keys = pin_keys.into_iter().map(|(_, key)| key).collect();
    timeline.sort_by_key(|entry| entry.id);
    Ok(Stored { state, timeline, replies })
}

fn service_of<'a>(state: &'a mut State, segments: &mut Segments<'_>) -> Result<&'a mut Service, RecordError> {
    let name: ServiceName = segments.next()?;
    let service = state.services.get_mut(&name).map(Arc::make_mut);
    service.ok_or_else(|| damaged(segments.key, format!("there is no record of service {name}")))
}

fn damaged(key: &Key, cause: impl Display) -> RecordError {
    RecordError::Damaged { key: key.clone(), cause: cause.to_string() }
}

impl Document {
    fn read<R: DeserializeOwned>(&self, key: &Key) -> Result<R, RecordError> {
        if self.format > FORMAT {
            return Err(RecordError::Newer { key: key.clone(), format: self.format, newest: FORMAT });
        }
        if self.format < FORMAT {
            return Err(damaged(key, format_args!("there never was a format {}", self.format)));
        }
        serde_json::from_str(&self.json).map_err(|error| damaged(key, error))
    }
}

/// The segments of a record's name, parsed one by one.
struct Segments<'a> {
    key: &'a Key,
    place: usize,
}

impl<'a> Segments<'a> {
    fn of(key: &'a Key) -> Self {
        Self { key, place: 0 }
    }

    fn next<T: FromStr<Err: Display>>(&mut self) -> Result<T, RecordError> {
        let segment = self.key.segments().nth(self.place);
        self.place += 1;
        let segment = segment.ok_or_else(|| RecordError::Unknown { key: self.key.clone() })?;
        segment.parse().map_err(|error| damaged(self.key, format_args!("its name {segment:?} {error}")))
    }

    fn last<T: FromStr<Err: Display>>(mut self) -> Result<T, RecordError> {
        let segment = self.next()?;
        match self.key.segments().nth(self.place) {
            Some(_) => Err(RecordError::Unknown { key: self.key.clone() }),
            None => Ok(segment),
        }
    }
}

#[derive(Default)]
struct Changes(BTreeMap<Key, Change>);

impl Changes {
    fn compare_service(
        &mut self,
        name: &ServiceName,
        old: Option<&Arc<Service>>,
        new: Option<&Arc<Service>>,
    ) {
        let key = |kind| Key::new(kind).child(name.as_str());
        let record = |service: &Arc<Service>| ServiceRecord::of(service);
        self.compare_one(key("service"), old.map(record).as_ref(), new.map(record).as_ref());
        let (no_backends, no_versions) = (BTreeMap::new(), BTreeMap::new());
        let backends = [old, new].map(|service| service.map_or(&no_backends, |service| &service.backends));
        self.compare_all(&key("backend"), backends, BackendRecord::of);
        let versions = [old, new].map(|service| service.map_or(&no_versions, |service| &service.versions));
        self.compare_all(&key("version"), versions, VersionRecord::of);
    }

    fn compare_departed(&mut self, before: &Arc<Departed>, after: &Arc<Departed>) {
        if Arc::ptr_eq(before, after) {
            return;
        }
        let record = |epoch: &Epoch| DepartedRecord::of(*epoch);
        let forgotten =
            [before, after].map(|departed| (departed.forgotten > Epoch(0)).then_some(&departed.forgotten));
        let [old, new] = forgotten.map(|epoch| epoch.map(record));
        self.compare_one(departed::forgotten_key(), old.as_ref(), new.as_ref());
        let names: BTreeSet<&ServiceName> = before.epochs.keys().chain(after.epochs.keys()).collect();
        for name in names {
            let [old, new] = [before, after].map(|departed| departed.epochs.get(name).map(record));
            self.compare_one(departed::key(name), old.as_ref(), new.as_ref());
        }
    }

    fn compare_pin_keys(&mut self, before: &State, after: &State) {
        if Arc::ptr_eq(&before.pin_keys, &after.pin_keys) {
            return;
        }
        let ids: BTreeSet<u8> = before.pin_keys.iter().chain(&*after.pin_keys).map(|key| key.id).collect();
        for id in ids {
            let record = |state: &State| {
                let place = state.pin_keys.iter().position(|key| key.id == id)?;
                Some(PinKeyRecord::of(&state.pin_keys[place], place))
            };
            let key = Key::new("key").child("pin").child(&id.to_string());
            self.compare_one(key, record(before).as_ref(), record(after).as_ref());
        }
    }

    fn compare_all<K: Ord + Display, V, R: Serialize + PartialEq>(
        &mut self,
        root: &Key,
        [old, new]: [&BTreeMap<K, Arc<V>>; 2],
        record: impl Fn(&V) -> R,
    ) {
        for (name, old, new) in differences(old, new) {
            let [old, new] = [old, new].map(|value| value.map(|value| record(value)));
            self.compare_one(root.child(&name.to_string()), old.as_ref(), new.as_ref());
        }
    }

    fn compare_one<R: Serialize + PartialEq>(&mut self, key: Key, old: Option<&R>, new: Option<&R>) {
        match new {
            Some(_) if old == new => {}
            Some(new) => drop(self.0.insert(key, put(new))),
            None if old.is_some() => drop(self.0.insert(key, Change::Delete)),
            None => {}
        }
    }
}

#[expect(
    clippy::expect_used,
    reason = "records are structs of text and numbers, which always have a JSON form"
)]
fn put(record: &impl Serialize) -> Change {
    let json = serde_json::to_string(record).expect("records have a JSON form");
    Change::Put(Document { format: FORMAT, json })
}
