//! The asset vault: immutable files that some version answered with, kept on disk so that they outlive the version's last server.
//!
//! One directory per service, one file per asset and content coding, each with its own checksums: whatever a crash or a bad disk leaves
//! behind is noticed when it is read, and dropped. Nothing here knows HTTP beyond the names and values that it is given.
//!
//! What a worker calls takes no lock and does no I/O ([`Vault::wants`], [`Vault::reserve`], [`Vault::put`]); writing happens on a thread of
//! its own, and [`Vault::find`], [`Vault::list`] and [`Vault::drop_assets`] are for threads that may block.

mod asset;
mod counts;
#[cfg(test)]
mod crash;
mod dir;
pub mod file;
mod index;
mod keeper;
mod known;
mod memory;
mod vault;
mod vaults;

pub use asset::{Asset, Coding, Key};
pub use counts::{Rejected, Stats};
pub use index::Kept;
pub use memory::Room;
pub use vault::{ASSET_MAX, Vault};
pub use vaults::{StartError, Vaults};
