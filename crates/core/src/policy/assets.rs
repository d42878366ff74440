//! Assets: where a file is looked for that a version does not have.

use crate::asset::AssetPattern;

/// Which paths are assets, and what is kept of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AssetPolicy {
    /// Paths that are assets, as clients ask for them; empty = there are none.
    pub paths: Vec<AssetPattern>,
    /// Bytes on disk for assets that were seen; 0 = none are kept.
    pub vault: u64,
}

impl AssetPolicy {
    /// Whether `path` is an asset.
    #[must_use]
    pub fn has(&self, path: &[u8]) -> bool {
        self.paths.iter().any(|pattern| pattern.matches(path))
    }
}
