//! Every change that anybody may ask of the control state.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::address::Address;
use crate::backend::{AdminState, Weight};
use crate::contract::RecordContract;
use crate::hook::HookReport;
use crate::id::{BackendId, Epoch, GateName, HoldName, ServiceName, VersionLabel};
use crate::judge::{Baseline, Verdict};
use crate::pin::PinKey;
use crate::policy::{Policy, Share};
use crate::report::Traffic;
use crate::schema::{SchemaRange, SetSchema};
use crate::service::ServiceDocument;
use crate::suspend::Suspended;
use crate::time::{Millis, Timestamp};

/// A change of the control state.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Makes the services and backends of the configuration file exactly these. What runs is kept: a reload undoes no
    /// flip, drain or registration.
    Configure(Vec<Configured>),
    /// Creates a service or replaces its policy.
    PutService {
        /// Its name.
        service: ServiceName,
        /// Its policy.
        policy: Arc<Policy>,
        /// The document that it was read from, for the record.
        document: ServiceDocument,
    },
    /// Removes a service with all its backends.
    RemoveService(ServiceName),
    /// A change of one service.
    Service(ServiceName, Change),
    /// What probes found out. What they found out about services and backends that are gone is ignored.
    Probed(Vec<Found>),
    /// What the judge found out about new versions. What it found out about services and periods that are over is ignored.
    Judged(Vec<Judgement>),
    /// From now on this key signs pins; those that signed before still verify.
    AddPinKey(PinKey),
    /// Time passed, and traffic was seen.
    Tick(Traffic),
}

/// A service of the configuration file.
#[derive(Debug, Clone, PartialEq)]
pub struct Configured {
    /// Its name.
    pub name: ServiceName,
    /// Its policy.
    pub policy: Arc<Policy>,
    /// Its backends.
    pub backends: Vec<Registration>,
}

/// A change of one service.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A backend registers itself, or again.
    Register(Registration),
    /// A backend renews its lease and says what it runs.
    Heartbeat {
        /// The backend.
        backend: BackendId,
        /// The version it says it runs.
        version: Option<VersionLabel>,
        /// What it says about its process.
        boot_id: Option<String>,
    },
    /// An operator changes a backend.
    Patch {
        /// The backend.
        backend: BackendId,
        /// What is wanted of it.
        admin: Option<AdminState>,
        /// Its weight.
        weight: Option<Weight>,
        /// Whether to do it even if too little capacity is left.
        force: bool,
        /// Who asks.
        by: String,
    },
    /// A backend leaves: drains for at most so long, then is removed.
    Deregister {
        /// The backend.
        backend: BackendId,
        /// Time it has for what is in flight.
        drain: Millis,
    },
    /// Makes a version active.
    Flip(Flip),
    /// Goes back to the version that was active before.
    Rollback(Rollback),
    /// The contract migration ran: nothing older than the active version may come back.
    Contract(RecordContract),
    /// The database is at another schema.
    SetSchema(SetSchema),
    /// Hooks were called.
    Hook(HookReport),
    /// Begins, changes or ends a canary.
    SetCanary(SetCanary),
    /// Opens or closes a gate.
    SetGate {
        /// For this version.
        version: VersionLabel,
        /// The gate.
        gate: GateName,
        /// Open or closed.
        is_open: bool,
        /// What is said with it.
        note: String,
        /// Whether the version may be one that no backend ever reported: a migration runs before its code does.
        is_ahead: bool,
        /// Who asks.
        by: String,
    },
    /// Takes or renews a hold.
    SetHold {
        /// On this version.
        version: VersionLabel,
        /// The hold.
        hold: HoldName,
        /// How long it lasts unless renewed.
        ttl: Millis,
        /// Who asks.
        by: String,
    },
    /// Gives a hold up.
    DropHold {
        /// On this version.
        version: VersionLabel,
        /// The hold.
        hold: HoldName,
    },
    /// Ends a version's drain now.
    Evict(VersionLabel),
    /// Makes a preview of a version. The credential itself is sealed by whoever hands it out.
    Preview(Preview),
    /// Judges a version bad: it is never picked automatically.
    Reject {
        /// The version.
        version: VersionLabel,
        /// Why.
        reason: String,
    },
    /// Takes back a rejection or a supersession.
    Clear(VersionLabel),
    /// Refuses flips, or turns clients away, from now on.
    Suspend {
        /// What.
        what: Suspended,
        /// Why; empty when nobody said.
        reason: String,
        /// Until when.
        until: Option<Timestamp>,
        /// Who asks.
        by: String,
    },
    /// Allows it again.
    Resume(Suspended),
    /// Assets that were kept are dropped: those with this path, or path and query; all, if none is given.
    DropAssets(Option<String>),
    /// A backend wants to be restarted.
    AskPermit {
        /// The backend.
        backend: BackendId,
    },
    /// A permit is given back: the backend was restarted, or will not be.
    ReturnPermit(BackendId),
    /// A frozen roll goes on.
    ResumeRoll,
    /// The roll ends where it is. A version that is not active yet is rejected.
    AbortRoll {
        /// Why.
        reason: String,
    },
}

/// What a backend says when it registers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Its name.
    pub backend: BackendId,
    /// Where it listens.
    pub address: Address,
    /// The version it says it runs.
    pub version: Option<VersionLabel>,
    /// Its weight.
    pub weight: Weight,
    /// Time between renewals; `None` = it stays until it is removed.
    pub ttl: Option<Millis>,
    /// What it says about its process.
    pub boot_id: Option<String>,
    /// Where it runs.
    pub zone: Option<String>,
    /// The schemas with which it can work.
    pub schema: SchemaRange,
    /// What its owner wants to remember.
    pub metadata: BTreeMap<String, String>,
}

/// What probes found out about one backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its service.
    pub service: ServiceName,
    /// The backend.
    pub backend: BackendId,
    /// The generation that was probed; an answer to an older one says nothing about the process that is there now.
    pub generation: u32,
    /// What was found.
    pub finding: Finding,
}

/// What a probe found out. Rise and fall are counted already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// It answers, and says this about itself.
    Up {
        /// The version it named, if it named one.
        version: Option<VersionLabel>,
        /// The process it named, if it named one.
        boot_id: Option<String>,
    },
    /// It does not answer.
    Down,
}

/// What the judge found out about the new version of one service.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// The service.
    pub service: ServiceName,
    /// The epoch that it was in when that was found out.
    pub epoch: Epoch,
    /// What was found out.
    pub ruling: Ruling,
}

/// What the judge found out.
#[derive(Debug, Clone, PartialEq)]
pub enum Ruling {
    /// How the version answered that was replaced just now.
    Baseline(Baseline),
    /// What is thought of the new one. A good one is believed when its bake is over.
    Verdict(Verdict),
}

/// Makes a version active.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flip {
    /// The version.
    pub to: VersionLabel,
    /// Only if this is the epoch.
    pub if_epoch: Option<Epoch>,
    /// Whether quorum, gates and freeze are overridden.
    pub force: bool,
}

/// Makes a preview of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// The version.
    pub version: VersionLabel,
    /// How long it lasts, from [`TTL_MIN`](crate::preview::TTL_MIN) to [`TTL_MAX`](crate::preview::TTL_MAX).
    pub ttl: Millis,
    /// Who asks.
    pub by: String,
}

/// Begins, changes or ends a canary.
#[derive(Debug, Clone, PartialEq)]
pub struct SetCanary {
    /// The version.
    pub to: VersionLabel,
    /// Its share of new sessions from now on; nothing ends the canary. `None`: it goes by the configured steps.
    pub share: Option<Share>,
    /// Whether the steps pause; `None`: as they do.
    pub paused: Option<bool>,
    /// Only if this is the epoch.
    pub if_epoch: Option<Epoch>,
}

/// Goes back to the version that was active before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollback {
    /// Only if this is the epoch.
    pub if_epoch: Option<Epoch>,
    /// What happens to sessions of the bad version.
    pub sessions: Sessions,
    /// Why; it is remembered with the rejected version.
    pub reason: String,
}

/// What a rollback does with the sessions of the bad version.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sessions {
    /// They move at their next request.
    #[default]
    Move,
    /// They stay until their pins end.
    Keep,
}
