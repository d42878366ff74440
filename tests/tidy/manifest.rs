//! Rules over the Cargo manifests: who may depend on whom, and that nothing is listed in vain.

use std::collections::{BTreeMap, BTreeSet};

use crate::{File, Finding};

/// All that the deciding crate may use besides the standard library.
const CORE_ALLOWED: [&str; 2] = ["arc-swap", "thiserror"];

/// Pairs that must not meet, whatever the kind of dependency: the two planes know only the core, and the binary's parts are
/// used by the binary alone.
const FORBIDDEN: [(&str, &str); 6] = [
    ("cutover-proxy", "cutover-control"),
    ("cutover-control", "cutover-proxy"),
    ("cutover-core", "cutover-app"),
    ("cutover-proxy", "cutover-app"),
    ("cutover-control", "cutover-app"),
    ("cutover-core", "cutover"),
];

/// What the rules need of one `Cargo.toml`.
pub(crate) struct Manifest {
    path: String,
    pub(crate) package: String,
    /// Name and line, of the normal and build dependencies on every target.
    dependencies: BTreeMap<String, usize>,
    dev_dependencies: BTreeMap<String, usize>,
    workspace_dependencies: BTreeMap<String, usize>,
    inherits_lints: bool,
}

impl Manifest {
    /// Reads the layout that our manifests have, one key a line; `None` for a file without a package.
    pub(crate) fn parse(file: &File) -> Option<Self> {
        let mut package = None;
        let mut dependencies = BTreeMap::new();
        let mut dev_dependencies = BTreeMap::new();
        let mut workspace_dependencies = BTreeMap::new();
        let mut inherits_lints = false;
        let mut section = "";
        for (number, line) in (1..).zip(file.text.lines()) {
            if let Some(header) = line.strip_prefix('[').and_then(|rest| rest.trim_end().strip_suffix(']')) {
                section = header;
                continue;
            }
            let Some((key, value)) = key_and_value(line) else { continue };
            let name = key.split('.').next().unwrap_or(key);
            match section {
                "package" if key == "name" => package = Some(value.trim_matches('"').to_owned()),
                "lints" if key == "workspace" => inherits_lints = value == "true",
                "workspace.dependencies" => _ = workspace_dependencies.insert(name.to_owned(), number),
                _ if section.ends_with("dev-dependencies") => {
                    dev_dependencies.insert(name.to_owned(), number);
                }
                _ if section.ends_with("dependencies") => _ = dependencies.insert(name.to_owned(), number),
                _ => {}
            }
        }
        let path = file.path.clone();
        Some(Self {
            path,
            package: package?,
            dependencies,
            dev_dependencies,
            workspace_dependencies,
            inherits_lints,
        })
    }

    fn all_dependencies(&self) -> impl Iterator<Item = (&str, usize)> {
        self.dependencies.iter().chain(&self.dev_dependencies).map(|(name, line)| (name.as_str(), *line))
    }
}

/// Every rule over all manifests together.
pub(crate) fn check(manifests: &[Manifest]) -> Vec<Finding> {
    let per_manifest = manifests.iter().flat_map(|manifest| {
        [core_is_pure(manifest), directions(manifest), lints(manifest)].into_iter().flatten()
    });
    per_manifest.chain(unused(manifests)).collect()
}

fn core_is_pure(manifest: &Manifest) -> Vec<Finding> {
    if manifest.package != "cutover-core" {
        return Vec::new();
    }
    manifest
        .dependencies
        .iter()
        .filter(|(name, _)| !CORE_ALLOWED.contains(&name.as_str()))
        .map(|(name, line)| {
            let message = format!("core depends on `{name}`: it may use {} only", CORE_ALLOWED.join(" and "));
            Finding::new(&manifest.path, *line, message)
        })
        .collect()
}

fn directions(manifest: &Manifest) -> Vec<Finding> {
    manifest
        .all_dependencies()
        .filter(|(name, _)| FORBIDDEN.contains(&(manifest.package.as_str(), name)))
        .map(|(name, line)| {
            Finding::new(&manifest.path, line, format!("`{}` must not know `{name}`", manifest.package))
        })
        .collect()
}

fn lints(manifest: &Manifest) -> Vec<Finding> {
    // The fuzz crate stands outside the workspace and can inherit nothing.
    if manifest.inherits_lints || manifest.path.starts_with("tests/fuzz/") {
        return Vec::new();
    }
    vec![Finding::new(&manifest.path, 1, "takes no lints: add `[lints]` with `workspace = true`")]
}

fn unused(manifests: &[Manifest]) -> Vec<Finding> {
    let used: BTreeSet<&str> =
        manifests.iter().flat_map(Manifest::all_dependencies).map(|(name, _)| name).collect();
    manifests
        .iter()
        .flat_map(|manifest| manifest.workspace_dependencies.iter().map(move |entry| (manifest, entry)))
        .filter(|(_, (name, _))| !used.contains(name.as_str()))
        .map(|(manifest, (name, line))| {
            Finding::new(&manifest.path, *line, format!("no crate uses `{name}`: delete the entry"))
        })
        .collect()
}

/// `None` for blank lines, comments and the inner lines of an array.
fn key_and_value(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once('=')?;
    let key = key.trim_end();
    let is_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (!key.is_empty() && key.chars().all(is_key)).then(|| (key, value.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(package: &str, rest: &str) -> Manifest {
        let text = format!("[package]\nname = \"{package}\"\n[lints]\nworkspace = true\n{rest}");
        Manifest::parse(&File { path: format!("{package}/Cargo.toml"), text }).unwrap()
    }

    fn messages(manifests: &[Manifest]) -> Vec<String> {
        check(manifests).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn allowed_dependencies_are_not_findings() {
        let core = manifest("cutover-core", "[dependencies]\nthiserror.workspace = true\narc-swap = \"1\"\n");
        let app = manifest(
            "cutover-app",
            "[dependencies]\ncutover-proxy = { path = \"x\" }\ncutover-control = \"1\"\n",
        );
        assert_eq!(messages(&[core, app]), Vec::<String>::new());
    }

    #[test]
    fn a_dependency_of_core_is_found_on_every_target() {
        for section in ["dependencies", "build-dependencies", "target.'cfg(unix)'.dependencies"] {
            let core = manifest("cutover-core", &format!("[{section}]\n# why\nserde.workspace = true\n"));
            let expected =
                "cutover-core/Cargo.toml:7: core depends on `serde`: it may use arc-swap and thiserror only";
            assert_eq!(messages(&[core]), [expected], "{section}");
        }
        assert!(check(&[manifest("cutover-core", "[dev-dependencies]\nproptest = \"1\"\n")]).is_empty());
    }

    #[test]
    fn every_forbidden_pair_is_found_even_for_tests() {
        for (package, other) in FORBIDDEN {
            let crossing = manifest(package, &format!("[dev-dependencies]\n{other}.workspace = true\n"));
            let expected = format!("{package}/Cargo.toml:6: `{package}` must not know `{other}`");
            assert_eq!(messages(&[crossing]), [expected]);
        }
    }

    #[test]
    fn an_unused_workspace_dependency_is_found() {
        let root =
            manifest("cutover", "[workspace.dependencies]\nbytes = \"1\"\nhttp = { version = \"1\" }\n");
        let user = manifest(
            "cutover-proxy",
            "[dependencies]\nbytes = { workspace = true, features = [\n\"a\",\n] }\n",
        );
        assert_eq!(messages(&[root, user]), ["cutover/Cargo.toml:7: no crate uses `http`: delete the entry"]);
    }

    #[test]
    fn a_crate_without_the_shared_lints_is_found() {
        let text = "[package]\nname = \"a\"\n".to_owned();
        let bare = Manifest::parse(&File { path: "a/Cargo.toml".to_owned(), text }).unwrap();
        assert_eq!(
            messages(&[bare]),
            ["a/Cargo.toml:1: takes no lints: add `[lints]` with `workspace = true`"]
        );
    }

    #[test]
    fn a_file_without_a_package_is_no_manifest() {
        assert!(
            Manifest::parse(&File { path: "Cargo.toml".to_owned(), text: "[workspace]\n".to_owned() })
                .is_none()
        );
    }
}
