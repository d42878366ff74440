//! Kept assets, as the API shows them.

use cutover_core::time::Timestamp;
use cutover_vault::{Kept, Vault};
use serde::Serialize;
use utoipa::ToSchema;

use super::time;
use crate::document::scalar::write_size;

/// A page of the assets that are kept of a service.
#[derive(Debug, Serialize, ToSchema)]
pub struct Assets {
    /// Where they are kept; `null` where none are.
    pub vault: Option<VaultView>,
    /// In the order of their paths.
    pub assets: Vec<AssetView>,
    /// Ask for assets `after` this path for the next page; `null` on the last page.
    #[schema(example = "/assets/app-1f3c.js")]
    pub next: Option<String>,
}

/// A store of assets on disk.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Vault")]
pub struct VaultView {
    /// What it may take up.
    #[schema(example = "512MiB")]
    pub size: String,
    /// Bytes that it takes up.
    pub bytes: u64,
    /// Assets in it.
    pub entries: u64,
    /// Whether everything in it is known: its files are read in the background after a start.
    pub is_complete: bool,
}

/// An asset.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Asset")]
pub struct AssetView {
    /// The path by which clients ask for it, with its query.
    #[schema(example = "/assets/app-1f3c.js")]
    pub path: String,
    /// How its bytes are coded: `identity`, `gzip`, `br`, `zstd` or `deflate`.
    #[schema(example = "br")]
    pub coding: String,
    /// Bytes of its body.
    pub size: u64,
    /// What it is; empty where the app did not say.
    #[schema(example = "text/javascript")]
    pub r#type: String,
    /// The version that answered with it.
    #[schema(example = "v1")]
    pub version: String,
    /// When.
    #[schema(format = DateTime)]
    pub stored_at: String,
    /// When it was served from here last; when it was stored, if it never was.
    #[schema(format = DateTime)]
    pub last_used: String,
}

impl VaultView {
    /// How the vault is.
    pub fn new(vault: &Vault) -> Self {
        let stats = vault.stats();
        Self {
            size: write_size(vault.size()),
            bytes: stats.bytes,
            entries: stats.entries,
            is_complete: vault.is_complete(),
        }
    }
}

impl From<&Kept> for AssetView {
    fn from(kept: &Kept) -> Self {
        Self {
            path: kept.key.target.to_string(),
            coding: kept.key.coding.as_str().to_owned(),
            size: kept.body_len,
            r#type: kept.content_type.clone(),
            version: kept.version.clone(),
            stored_at: time::write(Timestamp(kept.stored_at)),
            last_used: time::write(Timestamp(kept.used_at)),
        }
    }
}
