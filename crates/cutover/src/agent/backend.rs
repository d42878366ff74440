//! The backend that the app is: what stays the same over its restarts, what changes, and how cutover is told.

use std::time::Duration;

use cutover_core::address::Address;
use cutover_core::id::{BackendId, ServiceName, VersionLabel};
use cutover_core::time::Millis;
use http::Method;
use serde_json::{Map, Value};

use super::args::Options;
use super::lease::{Answer, Call, Failure, Standing};
use crate::ctl::Error;
use crate::ctl::args::Schemas;
use crate::ctl::client::{Client, path};

/// The code of a registration that the configuration file of cutover makes impossible.
const DEFINED_IN_CONFIG: &str = "defined_in_config";

/// A backend, as its agent knows it.
#[derive(Debug)]
pub(super) struct Backend {
    pub(super) client: Client,
    pub(super) service: ServiceName,
    pub(super) id: BackendId,
    pub(super) address: Address,
    pub(super) ttl: Duration,
    weight: Option<u16>,
    zone: Option<String>,
    schemas: Schemas,
    metadata: Vec<(String, String)>,
}

/// What tells one start of the app from the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    /// The version, unless the app's answers tell it.
    pub(super) version: Option<VersionLabel>,
    /// Drawn at its start.
    pub(super) boot_id: String,
}

impl Backend {
    /// The backend that the arguments describe.
    ///
    /// # Errors
    /// It has no name.
    pub(super) fn new(options: &Options) -> Result<Self, String> {
        Ok(Self {
            client: Client::new(&options.remote),
            service: options.service.clone(),
            id: options.backend()?,
            address: options.address.clone(),
            ttl: options.ttl,
            weight: options.weight,
            zone: options.zone.clone(),
            schemas: options.schemas,
            metadata: options.metadata.clone(),
        })
    }

    /// What the app finds in its environment; what has no value is absent.
    pub(super) fn variables(&self, process: &Process) -> [(&'static str, Option<String>); 6] {
        let port = match &self.address {
            Address::Tcp { port, .. } => Some(port.to_string()),
            Address::Unix { .. } => None,
        };
        [
            ("PORT", port),
            ("CUTOVER_SERVICE", Some(self.service.to_string())),
            ("CUTOVER_BACKEND", Some(self.id.to_string())),
            ("CUTOVER_ADDRESS", Some(self.address.to_string())),
            ("CUTOVER_BOOT_ID", Some(process.boot_id.clone())),
            ("CUTOVER_VERSION", process.version.as_ref().map(ToString::to_string)),
        ]
    }

    /// Registers, or keeps the lease; cutover has `limit` to answer.
    pub(super) async fn say(&self, call: Call, process: &Process, limit: Duration) -> Answer {
        let said = match call {
            Call::Register => {
                let body = self.registration(process);
                self.client.call(Method::PUT, &self.path(&[]), Some(&body), limit).await
            }
            Call::Introduce | Call::Heartbeat => {
                let body = Value::Object(of_process(process, call == Call::Introduce));
                self.client.call(Method::POST, &self.path(&["heartbeat"]), Some(&body), limit).await
            }
        };
        match said {
            Ok(answer) => Answer::Known(standing(&answer.body)),
            Err(error) if error.is_not_found() => Answer::Unknown,
            Err(Error::Refused(problem)) if problem.reasons.iter().any(|it| it.code == DEFINED_IN_CONFIG) => {
                Answer::Defined
            }
            Err(error) => Answer::Failed(failure(&error)),
        }
    }

    /// Leaves the service; answers when what is in flight is done, or after `drain`.
    ///
    /// # Errors
    /// The server can't be reached, or refuses.
    pub(super) async fn leave(&self, drain: Duration, limit: Duration) -> Result<(), Error> {
        let path = format!("{}?drain={}", self.path(&[]), text(drain));
        match self.client.call(Method::DELETE, &path, None, drain + limit).await {
            Err(error) if error.is_not_found() => Ok(()),
            left => left.map(drop),
        }
    }

    fn path(&self, below: &[&str]) -> String {
        let segments = ["services", self.service.as_str(), "backends", self.id.as_str()];
        path(&[&segments, below].concat())
    }

    fn registration(&self, process: &Process) -> Value {
        let mut body = of_process(process, true);
        body.insert("address".to_owned(), self.address.to_string().into());
        body.insert("ttl".to_owned(), text(self.ttl).into());
        if let Some(weight) = self.weight {
            body.insert("weight".to_owned(), weight.into());
        }
        if let Some(zone) = &self.zone {
            body.insert("zone".to_owned(), zone.clone().into());
        }
        let Schemas { schema_min, schema_max } = self.schemas;
        for (key, bound) in [("schema_min", schema_min), ("schema_max", schema_max)] {
            if let Some(bound) = bound {
                body.insert(key.to_owned(), bound.into());
            }
        }
        if !self.metadata.is_empty() {
            let pairs = self.metadata.iter().map(|(key, value)| (key.clone(), Value::from(value.clone())));
            body.insert("metadata".to_owned(), pairs.collect());
        }
        body.into()
    }
}

impl Process {
    /// Another start of the app.
    ///
    /// # Errors
    /// The system has no random bits.
    pub(super) fn draw(version: Option<VersionLabel>) -> std::io::Result<Self> {
        Ok(Self { version, boot_id: format!("{:016x}", getrandom::u64()?) })
    }
}

fn of_process(process: &Process, is_introduction: bool) -> Map<String, Value> {
    let mut body = Map::new();
    if let Some(version) = &process.version {
        body.insert("version".to_owned(), version.as_str().into());
    }
    if is_introduction {
        body.insert("boot_id".to_owned(), process.boot_id.clone().into());
    }
    body
}

fn standing(answer: &Value) -> Standing {
    let text = |key: &str| answer[key].as_str().map(str::to_owned);
    Standing { version: text("version"), role: text("role"), admin: text("admin").unwrap_or_default() }
}

/// A failure in words, with its causes.
pub(super) fn failure(error: &Error) -> Failure {
    let causes = std::iter::successors(std::error::Error::source(error), |error| error.source());
    let text = causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
    match error {
        Error::Refused(_) => Failure::Refused(text),
        _ => Failure::Away(text),
    }
}

fn text(span: Duration) -> String {
    Millis(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)).to_string()
}
