//! What an answer says about the version that runs and the process that runs it.

use bytes::Bytes;
use cutover_core::id::VersionLabel;
use cutover_core::policy::{IdentityPolicy, IdentitySource};
use http::HeaderMap;

use super::ask::Failure;

/// Bytes that a boot id may have.
const BOOT_ID_MAX: usize = 256;

/// The version that an answer names, where the label given at registration is not the only thing that counts: by the header, or in the
/// `body`, where one was read for that.
pub(super) fn version(
    identity: &IdentityPolicy,
    headers: &HeaderMap,
    body: Option<&Bytes>,
) -> Result<Option<VersionLabel>, Failure> {
    match (identity.source, body) {
        (IdentitySource::Label, _) => Ok(None),
        (_, Some(body)) => version_in(body, &identity.version_pointer),
        (_, None) => version_header(headers, &identity.version_header),
    }
}

/// Whether the version is in the body.
pub(super) const fn is_in_body(identity: &IdentityPolicy) -> bool {
    !matches!(identity.source, IdentitySource::Label) && !identity.version_pointer.is_empty()
}

/// The process that a header names.
pub(super) fn boot_id(headers: &HeaderMap, name: &str) -> Result<Option<String>, Failure> {
    match single(headers, name)? {
        Some(value) if value.len() > BOOT_ID_MAX => Err(Failure::of(format!(
            "{name} is {} bytes long, at most {BOOT_ID_MAX} are allowed",
            value.len()
        ))),
        value => Ok(value.map(ToOwned::to_owned)),
    }
}

/// The version that a header names.
fn version_header(headers: &HeaderMap, name: &str) -> Result<Option<VersionLabel>, Failure> {
    single(headers, name)?.map(|value| label(name, value)).transpose()
}

/// The version at a JSON pointer (RFC 6901), a string or a number; none where there is nothing.
fn version_in(body: &[u8], pointer: &str) -> Result<Option<VersionLabel>, Failure> {
    let body: serde_json::Value =
        serde_json::from_slice(body).map_err(|error| Failure::of(format!("the body is no JSON: {error}")))?;
    match body.pointer(pointer) {
        None | Some(serde_json::Value::Null) => Ok(None),
        Some(serde_json::Value::String(text)) => label(pointer, text).map(Some),
        Some(serde_json::Value::Number(number)) => label(pointer, &number.to_string()).map(Some),
        Some(_) => Err(Failure::of(format!("{pointer} is neither a string nor a number"))),
    }
}

/// The only value of a header; none if it is absent. Somebody who says two things is not believed either.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Failure> {
    if name.is_empty() {
        return Ok(None);
    }
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.any(|other| other != value) {
        return Err(Failure::of(format!("there are several {name} headers")));
    }
    value.to_str().map(Some).map_err(|_| Failure::of(format!("{name} is not visible ASCII")))
}

/// Who names a version that is none is not believed to run the one it was registered with.
fn label(source: &str, text: &str) -> Result<VersionLabel, Failure> {
    VersionLabel::parse(text.trim()).map_err(|error| Failure::of(format!("the version in {source} {error}")))
}
