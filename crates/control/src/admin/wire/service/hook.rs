//! Hooks as they are written.

use std::fmt;
use std::fs::File;
use std::io::Read;

use cutover_core::policy::{Hook, HookPoint, HookUrl, Secret, UpstreamTls};
use cutover_core::time::Millis;
use cutover_tls::client;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::check::WAIT_MIN;
use super::spec::ServiceSpec;
use crate::causes::with_causes;
use crate::document::Check;

/// More hooks than anybody has are a mistake, and each is called at every turn.
const HOOKS_MAX: usize = 32;
/// Longest secret in bytes.
const SECRET_MAX: usize = 1024;
/// Longest time for one call: a flip waits for it.
const TIMEOUT_MAX: Millis = Millis::from_secs(600);
const TIMEOUT_DEFAULT: Millis = Millis::from_secs(30);
/// What a secret in a file begins with.
const FILE: &str = "file:";

/// Whom the service tells of a turn of its deployments, or asks before a flip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["on", "url", "secret"]))]
pub struct HookSpec {
    /// At which turn: `pre_flip`, `post_flip`, `baked`, `drained` or `rolled_back`.
    #[serde(default)]
    #[schemars(length(min = 1), example = &"post_flip")]
    pub on: String,
    /// Where calls go: an `http` or `https` URL. Redirects are not followed.
    #[serde(default)]
    #[schemars(length(min = 1), example = &"https://ci.example.com/cutover")]
    pub url: String,
    /// What calls are signed with, or `file:` and the path of a file that holds it. One that was put itself is not shown again; a hook
    /// that is put without one keeps the one that it had.
    #[serde(default, skip_serializing_if = "SecretSpec::is_hidden")]
    #[schema(value_type = String)]
    #[schemars(with = "String", length(min = 1), example = &"file:/etc/cutover/hook.secret")]
    pub secret: SecretSpec,
    /// PEM file, on the proxy's host, of the authorities by which the certificate of an `https` URL is believed; `""` = those of the
    /// system.
    #[serde(default)]
    #[schemars(example = &"/etc/cutover/hooks-ca.pem")]
    pub ca: String,
    /// Time for one call.
    #[serde(default = "timeout_default")]
    pub timeout: String,
}

/// A secret as it is written. Nothing prints it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretSpec(String);

impl HookSpec {
    /// Reports the files of authorities and of a secret that can't be used.
    pub fn check_files(&self, check: &mut Check<'_>) {
        let tls = UpstreamTls { ca: self.ca(), ..UpstreamTls::default() };
        if tls.ca.is_some()
            && let Err(error) = client::check(&tls)
        {
            check.wrong("ca", with_causes(&error));
        }
        let Some(path) = self.secret.file() else { return };
        // A directory can be opened, but not read.
        let read = File::open(path).and_then(|mut file| file.read(&mut [0]));
        match read {
            Err(error) => check.wrong("secret", format_args!("can't read {path:?}: {error}")),
            Ok(0) => check.wrong("secret", format_args!("can't use {path:?}: it is empty")),
            Ok(_) => {}
        }
    }

    fn ca(&self) -> Option<String> {
        Some(self.ca.clone()).filter(|path| !path.is_empty())
    }
}

impl SecretSpec {
    fn file(&self) -> Option<&str> {
        self.0.strip_prefix(FILE)
    }

    fn is_hidden(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for SecretSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretSpec(…)")
    }
}

fn timeout_default() -> String {
    TIMEOUT_DEFAULT.to_string()
}

pub(super) fn hooks(spec: &ServiceSpec, check: &mut Check<'_>) -> Vec<Hook> {
    if spec.hook.len() > HOOKS_MAX {
        check.wrong("hook", format_args!("has {} hooks; at most {HOOKS_MAX} are allowed", spec.hook.len()));
    }
    let mut hooks: Vec<Hook> = Vec::with_capacity(spec.hook.len());
    for (index, spec) in spec.hook.iter().enumerate() {
        let mut check = check.element("hook", index);
        let Some(hook) = hook(spec, &mut check) else { continue };
        if hooks.iter().any(|other| (other.on, &other.url) == (hook.on, &hook.url)) {
            check.wrong("url", format_args!("is that of another hook on {}; remove one of them", hook.on));
        }
        hooks.push(hook);
    }
    hooks
}

fn hook(spec: &HookSpec, check: &mut Check<'_>) -> Option<Hook> {
    let on = HookPoint::parse(&spec.on);
    if on.is_none() {
        let words = HookPoint::ALL.map(|on| format!("{:?}", on.as_str())).join(", ");
        check.wrong("on", format_args!("is {:?}; must be one of {words}", spec.on));
    }
    // It may hold a token, so that nothing repeats it.
    let url = check.parse("url", &spec.url);
    let secret = secret(&spec.secret, check);
    let timeout = check.duration_from("timeout", &spec.timeout, WAIT_MIN);
    if timeout > TIMEOUT_MAX {
        check.wrong("timeout", format_args!("is {:?}; must be at most \"{TIMEOUT_MAX}\"", spec.timeout));
    }
    let url: HookUrl = url?;
    if spec.ca().is_some() && !url.is_tls() {
        check.wrong("ca", "is used only with a URL that begins with \"https://\"; write that or remove this");
    }
    Some(Hook { on: on?, url, secret: secret?, ca: spec.ca(), timeout })
}

fn secret(spec: &SecretSpec, check: &mut Check<'_>) -> Option<Secret> {
    let wrong = match (spec.file(), spec.0.as_str()) {
        (Some(path), _) if path.starts_with('/') => return Some(Secret::File(path.into())),
        (Some(_), _) => "must name an absolute path after \"file:\"".to_owned(),
        (None, "") => "is missing; write what calls are signed with, or \"file:/path\"".to_owned(),
        (None, text) if text.len() <= SECRET_MAX => return Some(Secret::Given(text.into())),
        (None, text) => format!("is {} bytes long; at most {SECRET_MAX} are allowed", text.len()),
    };
    check.wrong("secret", wrong);
    None
}

impl From<&Hook> for HookSpec {
    fn from(hook: &Hook) -> Self {
        Self {
            on: hook.on.as_str().to_owned(),
            url: hook.url.to_string(),
            secret: match &hook.secret {
                Secret::File(path) => SecretSpec(format!("{FILE}{path}")),
                Secret::Given(_) => SecretSpec::default(),
            },
            ca: hook.ca.clone().unwrap_or_default(),
            timeout: hook.timeout.to_string(),
        }
    }
}
