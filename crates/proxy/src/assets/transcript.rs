//! A copy of an answer, taken on its way to the client and put into the vault when it was whole.

use std::sync::Arc;

use cutover_vault::{Asset, Key, Rejected, Room, Vault};
use http::Method;

use super::fresh;
use crate::h1::framing::Framing;
use crate::message::fields::Fields;
use crate::message::headers::{self, IdentityFields};
use crate::message::name::{Name, Names};
use crate::serve::decide::Decided;
use crate::serve::exchange::Exchange;
use crate::serve::forward::Backend;

/// Fields and their bytes that a kept answer may have. The head of a file has a dozen.
const FIELDS_MAX: usize = 64;
const FIELD_BYTES_MAX: usize = 16 << 10;
/// Bytes that a body whose length nobody knows takes up at first.
const UNKNOWN: u64 = 16 << 10;

/// What was about the one answer, or is said anew of each.
const NOT_KEPT: Names = Names::of(&[
    Name::ContentLength,
    Name::CutoverPin,
    Name::CutoverUpdate,
    Name::Date,
    Name::RetryAfter,
    Name::SetCookie,
    Name::Trailer,
    Name::Via,
    Name::XRequestId,
]);
const OTHERS_NOT_KEPT: [&[u8]; 7] =
    [b"accept-ranges", b"age", b"alt-svc", b"clear-site-data", b"server-timing", b"warning", b"x-runtime"];

/// An answer under way.
#[derive(Debug)]
pub(crate) struct Transcript {
    vault: Arc<Vault>,
    /// What came of it so far; nothing any more, if it is not worth it after all.
    asset: Option<(Box<Asset>, Room)>,
    /// Bytes that it has, if that is known.
    length: Option<u64>,
}

/// Begins a copy of the answer that the client is about to get, if it is an asset that the vault does not have and may keep.
pub(crate) fn copy(exchange: &mut Exchange<'_>, decided: &Decided, backend: &Backend) {
    let Some(vault) = &decided.service.vault else { return };
    if exchange.is_asset_found() {
        exchange.copy = Transcript::begin(vault, exchange, decided, backend).map(Box::new);
        if exchange.copy.is_some() {
            exchange.scratch.download.watch();
        }
    }
}

impl Transcript {
    fn begin(
        vault: &Arc<Vault>,
        exchange: &Exchange<'_>,
        decided: &Decided,
        backend: &Backend,
    ) -> Option<Self> {
        let (asked, answer) = (&exchange.scratch.asked, &exchange.scratch.answer);
        let length = match backend.answer.framing {
            Framing::None => Some(0),
            Framing::Length(length) => Some(length),
            Framing::Chunked => None,
            Framing::UntilClose if backend.connection.stream.is_h2() => None,
            // One that broke off looks like one that is whole.
            Framing::UntilClose => return None,
        };
        // What the client may see is not what everybody may.
        if asked.method != Method::GET || asked.fields.received(Name::Authorization).is_some() {
            return None;
        }
        let coding = fresh::kept_coding(answer.status, &answer.fields)?;
        let version = decided.version_set();
        let (target, epoch) = (asked.asked_text(), version.epoch.map_or(0, |epoch| epoch.0));
        if !vault.wants(&target, coding, epoch, length) {
            return None;
        }
        let fields = kept_fields(&answer.fields, &decided.service.identity)?;
        let bytes = length.unwrap_or(UNKNOWN);
        let Some(room) = vault.reserve(bytes) else {
            vault.reject(Rejected::Busy);
            return None;
        };
        let asset = Asset {
            key: Key { target: Arc::from(&*target), coding },
            version: version.label.as_str().to_owned(),
            epoch,
            stored_at: exchange.client.worker.clock.at(exchange.began).0,
            fields,
            body: Vec::with_capacity(usize::try_from(bytes).ok()?),
        };
        Some(Self { vault: Arc::clone(vault), asset: Some((Box::new(asset), room)), length })
    }

    /// A piece of the body came.
    pub(crate) fn take(&mut self, data: &[u8]) {
        let Some((asset, room)) = &mut self.asset else { return };
        let length = (asset.body.len() + data.len()) as u64;
        let why = match () {
            () if length > self.vault.asset_max() => Rejected::TooLarge,
            () if !room.hold(length) => Rejected::Busy,
            () => return asset.body.extend_from_slice(data),
        };
        self.vault.reject(why);
        self.asset = None;
    }

    /// The client has all of it.
    pub(crate) fn finish(self) {
        let Some((asset, room)) = self.asset else { return };
        if self.length.is_none_or(|length| length == asset.body.len() as u64) {
            self.vault.put(*asset, room);
        }
    }
}

/// The fields that are about the file. `None`: there are too many.
fn kept_fields(fields: &Fields, identity: &IdentityFields) -> Option<Vec<(String, Vec<u8>)>> {
    let mut kept = fields.clone();
    headers::remove_hop_by_hop(&mut kept, NOT_KEPT, false);
    kept.remove_configured(&identity.version);
    kept.remove_configured(&identity.process);
    let is_kept = |name: &[u8]| !OTHERS_NOT_KEPT.iter().any(|other| name.eq_ignore_ascii_case(other));
    let mut bytes = 0;
    let mut list = Vec::new();
    for (name, value) in kept.iter().filter(|(name, _)| is_kept(name)) {
        bytes += name.len() + value.len();
        if list.len() == FIELDS_MAX || bytes > FIELD_BYTES_MAX {
            return None;
        }
        list.push((String::from_utf8(name.to_vec()).ok()?, value.to_vec()));
    }
    Some(list)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::name::FieldName;

    #[test]
    fn what_was_about_the_one_answer_is_not_kept() {
        let identity = IdentityFields {
            version: FieldName::new("x-app-version"),
            process: FieldName::new("x-pid"),
            is_exposed: true,
        };
        let fields = Fields::from_iter([
            ("Content-Type", "text/css"),
            ("Connection", "x-hop"),
            ("X-Hop", "1"),
            ("Date", "now"),
            ("Age", "3"),
            ("ETag", "\"1\""),
            ("X-App-Version", "v1"),
            ("X-Pid", "7"),
            ("Cutover-Pin", "end"),
            ("Keep-Alive", "timeout=5"),
            ("Content-Length", "3"),
            ("Accept-Ranges", "bytes"),
            ("X-Request-Id", "a"),
            ("Transfer-Encoding", "chunked"),
            ("X-Own", "2"),
        ]);
        let kept = kept_fields(&fields, &identity).unwrap();
        let names: Vec<_> = kept.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["Content-Type", "ETag", "X-Own"]);
        let many = Fields::from_iter((0..=FIELDS_MAX).map(|nth| (format!("x-{nth}"), "")));
        assert!(kept_fields(&many, &identity).is_none());
    }
}
