//! Why a command was refused: every reason, not just the first.

use std::fmt;

/// A refused command. It changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Rejected {
    /// Everything that stands in its way; never empty.
    pub reasons: Vec<Reason>,
}

/// One thing that stands in a command's way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// What kind of thing, for programs.
    pub code: Code,
    /// What exactly, for people.
    pub detail: String,
}

/// What kind of thing stands in a command's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    /// No service of this name.
    UnknownService,
    /// No backend of this name.
    UnknownBackend,
    /// No version of this label.
    UnknownVersion,
    /// No hold of this name.
    UnknownHold,
    /// The service is not frozen.
    NotFrozen,
    /// The service is not in maintenance, or is by its policy.
    NotInMaintenance,
    /// The epoch is not the one that the caller saw.
    EpochMismatch,
    /// The version has no usable backend.
    NothingUsable,
    /// Fewer usable backends than `quorum.count`.
    QuorumCount,
    /// Less usable weight than `quorum.share` of the expected weight.
    QuorumShare,
    /// The quorum is there, but not for `stable_for` yet.
    NotStable,
    /// A gate is not open.
    GateClosed,
    /// The service is frozen.
    Frozen,
    /// The version is active already.
    AlreadyActive,
    /// The version was judged bad.
    Rejected,
    /// A newer version replaced it.
    Superseded,
    /// The version has no backend any more.
    Retired,
    /// The command does not fit the version's role.
    WrongRole,
    /// No version was active before.
    NothingToRollBackTo,
    /// Less than `min_capacity` would stay usable.
    BelowMinCapacity,
    /// The thing is defined in the configuration file.
    DefinedInConfig,
    /// A limit is reached.
    LimitReached,
    /// The roll is frozen.
    RollFrozen,
    /// As many backends as may be restarted at a time are.
    BatchFull,
    /// Sessions may still be pinned to a version, or code of it still run.
    NotDrained,
    /// The backend has no permit.
    UnknownPermit,
    /// There is no roll to resume or abort.
    NoRoll,
    /// The routes belong to another service already.
    RouteTaken,
    /// No version is active.
    NothingActive,
    /// The bake of the active version has not passed.
    NotBaked,
    /// A contract migration ran that the version is too old for.
    BelowFloor,
    /// The version can't work with the schema at which the database is.
    SchemaOutOfRange,
    /// A hook that has to be asked was not asked yet.
    HookUnasked,
    /// A hook refused, or could not be asked.
    HookFailed,
    /// There is no canary to change or end.
    NoCanary,
    /// Another version is the canary.
    CanaryRunning,
    /// The canary has no steps to go by.
    NoSteps,
}

/// How a refusal is to be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// A rule forbids it now.
    Refused,
    /// A precondition that the caller gave does not hold.
    Precondition,
    /// What it names does not exist.
    Missing,
}

impl Rejected {
    /// A refusal with one reason.
    #[must_use]
    pub fn because(code: Code, detail: impl Into<String>) -> Self {
        Self { reasons: vec![Reason::new(code, detail)] }
    }

    /// `Ok` if nothing stands in the way.
    ///
    /// # Errors
    /// A refusal with all `reasons`, if there are any.
    pub fn if_any(reasons: Vec<Reason>) -> Result<(), Self> {
        if reasons.is_empty() { Ok(()) } else { Err(Self { reasons }) }
    }

    /// How the refusal is to be understood: by its gravest reason.
    #[must_use]
    pub fn class(&self) -> Class {
        self.reasons.iter().map(|reason| reason.code.class()).max().unwrap_or(Class::Refused)
    }
}

impl Reason {
    /// A reason.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }
}

impl Code {
    /// The code as programs read it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownService => "unknown_service",
            Self::UnknownBackend => "unknown_backend",
            Self::UnknownVersion => "unknown_version",
            Self::UnknownHold => "unknown_hold",
            Self::NotFrozen => "not_frozen",
            Self::NotInMaintenance => "not_in_maintenance",
            Self::EpochMismatch => "epoch_mismatch",
            Self::NothingUsable => "nothing_usable",
            Self::QuorumCount => "quorum_count",
            Self::QuorumShare => "quorum_share",
            Self::NotStable => "not_stable",
            Self::GateClosed => "gate_closed",
            Self::Frozen => "frozen",
            Self::AlreadyActive => "already_active",
            Self::Rejected => "rejected",
            Self::Superseded => "superseded",
            Self::Retired => "retired",
            Self::WrongRole => "wrong_role",
            Self::NothingToRollBackTo => "nothing_to_roll_back_to",
            Self::BelowMinCapacity => "below_min_capacity",
            Self::DefinedInConfig => "defined_in_config",
            Self::LimitReached => "limit_reached",
            Self::RollFrozen => "roll_frozen",
            Self::BatchFull => "batch_full",
            Self::NotDrained => "not_drained",
            Self::UnknownPermit => "unknown_permit",
            Self::NoRoll => "no_roll",
            Self::RouteTaken => "route_taken",
            Self::NothingActive => "nothing_active",
            Self::NotBaked => "not_baked",
            Self::BelowFloor => "below_floor",
            Self::SchemaOutOfRange => "schema_out_of_range",
            Self::HookUnasked => "hook_unasked",
            Self::HookFailed => "hook_failed",
            Self::NoCanary => "no_canary",
            Self::CanaryRunning => "canary_running",
            Self::NoSteps => "no_steps",
        }
    }

    const fn class(self) -> Class {
        match self {
            Self::UnknownService
            | Self::UnknownBackend
            | Self::UnknownVersion
            | Self::UnknownHold
            | Self::UnknownPermit
            | Self::NoRoll
            | Self::NoCanary
            | Self::NotFrozen
            | Self::NotInMaintenance => Class::Missing,
            Self::EpochMismatch => Class::Precondition,
            _ => Class::Refused,
        }
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, reason) in self.reasons.iter().enumerate() {
            write!(f, "{}{}", if index == 0 { "" } else { "; " }, reason.detail)?;
        }
        Ok(())
    }
}
