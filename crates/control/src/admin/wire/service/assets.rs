//! Assets across versions, as they are written.

use cutover_core::asset::AssetPattern;
use cutover_core::policy::AssetPolicy;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::document::Check;
use crate::document::scalar::write_size;

/// Patterns of one service. Each is tried for each request.
const PATHS_MAX: usize = 64;
/// A smaller vault has no room for the files of one page.
const VAULT_MIN: u64 = 1 << 20;
/// A larger one would take longer to look through than anybody waits for.
const VAULT_MAX: u64 = 1 << 40;

/// Where files are looked for that a version does not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AssetsSpec {
    /// Paths of files that pages load, as clients ask for them: `*` is any part of one segment, `**` any segments. One that the chosen
    /// version does not have is looked for in the other live versions, newest first, and then in the vault. Empty = there are none.
    #[schemars(length(max = 64), example = ["/assets/**", "/_next/static/**"])]
    pub paths: Vec<String>,
    /// Size of the store on disk for immutable files that were seen, which outlives the servers that had them; `"0"` = there is none.
    #[schemars(example = &"512MiB")]
    pub vault: String,
}

pub(super) fn assets(assets: &AssetsSpec, check: &mut Check<'_>) -> AssetPolicy {
    let paths = check.list("paths", &assets.paths, AssetPattern::parse);
    if assets.paths.len() > PATHS_MAX {
        check.wrong("paths", format_args!("has {} patterns; {PATHS_MAX} are the most", assets.paths.len()));
    }
    let vault = check.size("vault", &assets.vault);
    if vault > 0 && !(VAULT_MIN..=VAULT_MAX).contains(&vault) {
        let (min, max) = (write_size(VAULT_MIN), write_size(VAULT_MAX));
        check.wrong("vault", format_args!("is {:?}; must be \"0\" or from {min:?} to {max:?}", assets.vault));
    } else if vault > 0 && assets.paths.is_empty() {
        check.wrong(
            "vault",
            "keeps nothing, because no path is an asset; write `paths` such as [\"/assets/**\"], or \"0\"",
        );
    }
    AssetPolicy { paths, vault }
}

impl From<&AssetPolicy> for AssetsSpec {
    fn from(policy: &AssetPolicy) -> Self {
        Self {
            paths: policy.paths.iter().map(|pattern| pattern.as_str().to_owned()).collect(),
            vault: write_size(policy.vault),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{policy, problems};
    use super::*;

    #[test]
    fn assets_mean_the_same_again() {
        let read = policy(json!({"assets": {"paths": ["/assets/**", "/*.js"], "vault": "512MiB"}}));
        assert_eq!((read.assets.paths.len(), read.assets.vault), (2, 512 << 20));
        let written = serde_json::to_value(AssetsSpec::from(&read.assets)).unwrap();
        assert_eq!(written, json!({"paths": ["/assets/**", "/*.js"], "vault": "512MiB"}));
        assert_eq!(policy(json!({ "assets": written })).assets, read.assets);
    }

    #[test]
    fn what_could_never_match_or_keep_anything_is_refused() {
        let many: Vec<_> = (0..=PATHS_MAX).map(|nth| format!("/{nth}")).collect();
        let found = [
            json!({"assets": {"paths": ["assets/**", "/a/../b", "/a%2fb", "/a**", "/a", "/a"]}}),
            json!({"assets": {"vault": "1GiB"}}),
            json!({"assets": {"paths": ["/a"], "vault": "4KiB"}}),
            json!({"assets": {"paths": many}}),
            json!({"assets": {"path": "/a", "vault": 5}}),
        ];
        let found: Vec<_> = found.into_iter().flat_map(problems).collect();
        insta::assert_snapshot!(found.join("\n"));
    }
}
