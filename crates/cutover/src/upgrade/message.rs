//! What the two processes say to each other. They may be of different releases: a field may be added, never renamed, and what changes
//! beyond that is another [`PROTOCOL`].

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use cutover_control::admin::Listen;
use cutover_control::elder::Report;
use cutover_control::handover::Known;
use cutover_control::store::{Document, Key, Loaded};
use cutover_core::command::Finding;
use cutover_core::id::{BackendId, Revision, ServiceName, VersionLabel};
use cutover_core::report::Load;
use cutover_core::time::Timestamp;
use serde::{Deserialize, Serialize};

/// What this release speaks.
pub(crate) const PROTOCOL: u32 = 1;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Message {
    /// The new process introduces itself.
    Hello { protocol: u32, version: String },
    /// The old one's sockets, whose descriptors follow in the same order.
    Sockets { sockets: Vec<Socket> },
    /// The new one can go on only with the store.
    Prepared,
    /// The old one has let go of it. What it knew about backends, and what the store holds where it is in memory.
    Store { known: Vec<KnownBackend>, memory: Option<Records> },
    /// The new one can serve, and does not yet.
    Ready,
    /// The old one has stopped accepting: the new one serves.
    Go,
    /// The new one gives up.
    Failed { reason: String },
    /// What the new one has committed.
    Committed(Records),
    /// What the old one still does.
    Report(Remains),
}

/// A listening socket, by the address that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Socket {
    /// Of clients.
    Clients(SocketAddr),
    /// Of the admin API or of metrics.
    Admin(SocketAddr),
    /// The same as a file.
    AdminFile(PathBuf),
}

/// What is known about a backend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KnownBackend {
    service: String,
    backend: String,
    is_up: bool,
    version: Option<String>,
    boot_id: Option<String>,
}

/// Records of a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Records {
    revision: u64,
    records: Vec<Record>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    key: String,
    format: u32,
    json: String,
}

/// Without the text: the keys of pins are in one of them.
impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record").field("key", &self.key).field("format", &self.format).finish_non_exhaustive()
    }
}

/// What is left to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Remains {
    revision: u64,
    versions: Vec<RemainsOfVersion>,
    backends: Vec<RemainsOfBackend>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct RemainsOfVersion {
    service: String,
    version: String,
    in_flight: u64,
    tunnels: u64,
    pins_until_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct RemainsOfBackend {
    service: String,
    backend: String,
    in_flight: u32,
}

/// A name in a message is none.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no {1}")]
pub(crate) struct NameError(String, &'static str);

impl From<Listen> for Socket {
    fn from(listen: Listen) -> Self {
        match listen {
            Listen::Tcp(address) => Self::Admin(address),
            Listen::Unix(path) => Self::AdminFile(path),
        }
    }
}

/// What is known, as it is said.
pub(crate) fn say_known(known: Known) -> Vec<KnownBackend> {
    let said = known.into_iter().map(|((service, backend), finding)| {
        let (is_up, version, boot_id) = match finding {
            Finding::Up { version, boot_id } => (true, version, boot_id),
            Finding::Down => (false, None, None),
        };
        let version = version.map(|version| version.as_str().to_owned());
        KnownBackend { service: service.to_string(), backend: backend.to_string(), is_up, version, boot_id }
    });
    said.collect()
}

/// What was said to be known.
pub(crate) fn hear_known(said: Vec<KnownBackend>) -> Result<Known, NameError> {
    let mut known = Known::new();
    for KnownBackend { service, backend, is_up, version, boot_id } in said {
        let finding = match is_up {
            true => Finding::Up { version: version.map(label).transpose()?, boot_id },
            false => Finding::Down,
        };
        known.insert((name(service)?, id(backend)?), finding);
    }
    Ok(known)
}

impl From<Loaded> for Records {
    fn from(Loaded { records, revision }: Loaded) -> Self {
        let records = records.into_iter().map(|(key, Document { format, json })| {
            let key = key.as_str().to_owned();
            Record { key, format, json }
        });
        Self { revision: revision.0, records: records.collect() }
    }
}

impl TryFrom<Records> for Loaded {
    type Error = NameError;

    fn try_from(Records { revision, records }: Records) -> Result<Self, NameError> {
        let mut read = BTreeMap::new();
        for Record { key, format, json } in records {
            let name = key.parse::<Key>().map_err(|_| NameError(key, "name of a record"))?;
            read.insert(name, Document { format, json });
        }
        Ok(Self { records: read, revision: Revision(revision) })
    }
}

impl From<Report> for Remains {
    fn from(Report { revision, loads, backends }: Report) -> Self {
        let versions = loads.into_iter().map(|((service, version), load)| RemainsOfVersion {
            service: service.to_string(),
            version: version.as_str().to_owned(),
            in_flight: load.in_flight,
            tunnels: load.tunnels,
            pins_until_ms: load.latest_pin_expiry.0,
        });
        let backends = backends.into_iter().map(|((service, backend), in_flight)| RemainsOfBackend {
            service: service.to_string(),
            backend: backend.to_string(),
            in_flight,
        });
        Self { revision: revision.0, versions: versions.collect(), backends: backends.collect() }
    }
}

impl TryFrom<Remains> for Report {
    type Error = NameError;

    fn try_from(Remains { revision, versions, backends }: Remains) -> Result<Self, NameError> {
        let mut report = Self { revision: Revision(revision), ..Self::default() };
        for RemainsOfVersion { service, version, in_flight, tunnels, pins_until_ms } in versions {
            let load = Load { in_flight, tunnels, latest_pin_expiry: Timestamp(pins_until_ms) };
            report.loads.insert((name(service)?, label(version)?), load);
        }
        for RemainsOfBackend { service, backend, in_flight } in backends {
            report.backends.insert((name(service)?, id(backend)?), in_flight);
        }
        Ok(report)
    }
}

fn name(text: String) -> Result<ServiceName, NameError> {
    ServiceName::parse(&text).map_err(|_| NameError(text, "name of a service"))
}

fn id(text: String) -> Result<BackendId, NameError> {
    BackendId::parse(&text).map_err(|_| NameError(text, "name of a backend"))
}

fn label(text: String) -> Result<VersionLabel, NameError> {
    VersionLabel::parse(&text).map_err(|_| NameError(text, "version"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back<T: Serialize + for<'a> Deserialize<'a>>(said: &T) -> T {
        serde_json::from_str(&serde_json::to_string(said).unwrap()).unwrap()
    }

    #[test]
    fn what_is_known_is_heard_as_it_was_said() {
        let key = |backend: &str| (name("web".to_owned()).unwrap(), id(backend.to_owned()).unwrap());
        let version = Some(label("v1".to_owned()).unwrap());
        let up = Finding::Up { version, boot_id: Some("b".to_owned()) };
        let known: Known = [(key("a"), up), (key("b"), Finding::Down)].into();
        assert_eq!(hear_known(there_and_back(&say_known(known.clone()))).unwrap(), known);
    }

    #[test]
    fn records_and_reports_are_heard_as_they_were_said() {
        let document = Document { format: 1, json: "{}".to_owned() };
        let records = [(Key::new("a/b").child("ü"), document)].into();
        let loaded = Loaded { records, revision: Revision(7) };
        let said = there_and_back(&Records::from(loaded.clone()));
        assert_eq!(Loaded::try_from(said).unwrap(), loaded);

        let service = name("web".to_owned()).unwrap();
        let load = Load { in_flight: 2, tunnels: 1, latest_pin_expiry: Timestamp(9) };
        let report = Report {
            revision: Revision(7),
            loads: [((service.clone(), label("v1".to_owned()).unwrap()), load)].into(),
            backends: [((service, id("a".to_owned()).unwrap()), 2)].into(),
        };
        let said = there_and_back(&Remains::from(report.clone()));
        assert_eq!(Report::try_from(said).unwrap(), report);
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let backend = RemainsOfBackend { service: "a b".to_owned(), backend: "a".to_owned(), in_flight: 1 };
        let said = Remains { revision: 1, versions: Vec::new(), backends: vec![backend] };
        assert!(Report::try_from(said).is_err());
    }
}
