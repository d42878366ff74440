//! Assets from the vault: files whose version may be gone, from where whoever asked for them before has left them.
//!
//! The proxy answers with them as a file server would, in the name of the service: with a date of its own and no age, because nobody else
//! has the file any more. A range is answered with the whole file, which is always allowed (RFC 9110 section 14.2).

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use cutover_vault::{Asset, Coding, Room, Vault};
use http::StatusCode;
use tokio::time::timeout;

use crate::message::decimal::Decimal;
use crate::message::fields::Fields;
use crate::message::list;
use crate::message::name::Name;
use crate::message::negotiate::weight;
use crate::own;
use crate::own::respond::Own;
use crate::serve::Next;
use crate::serve::exchange::Exchange;
use crate::telemetry::metrics::AssetOutcome;
use crate::worker::view::ServiceView;

/// Assets that one worker reads at a time. Each takes a thread.
const READS_MAX: u32 = 32;
/// A disk that takes longer is as good as none.
const READ_WITHIN: Duration = Duration::from_secs(2);
/// Codings, the smallest first: of those that a client takes, it gets the first one that is there.
const CODINGS: [Coding; 5] = [Coding::Br, Coding::Zstd, Coding::Gzip, Coding::Deflate, Coding::Identity];

/// How many assets one worker reads right now.
#[derive(Debug, Default)]
pub(crate) struct Reads(Arc<AtomicU32>);

/// An asset that was found, and the room that it takes up until it is sent.
pub(crate) struct Kept {
    own: Own,
    room: Room,
}

/// Looks for what is asked for in the vault of the service.
pub(super) async fn find(exchange: &Exchange<'_>, service: &ServiceView) -> Option<Kept> {
    let vault = service.vault.as_ref()?;
    let asked = &exchange.scratch.asked;
    if asked.fields.named("if-match").is_some() || asked.fields.named("if-unmodified-since").is_some() {
        // Those are for changes of what is there, and this is no place for changes.
        return None;
    }
    let worker = &exchange.client.worker;
    let read = worker.vault_reads.begin()?;
    let (target, accepted) = (asked.asked_text().into_owned(), accepted(&asked.fields));
    let (vault, now): (Arc<Vault>, u64) = (Arc::clone(vault), worker.clock.at(exchange.began).0);
    let reading = tokio::task::spawn_blocking(move || {
        let found = vault.find(&target, &accepted, now);
        // Only now, also when nobody waits any more: each takes a thread.
        drop(read);
        found
    });
    let (asset, room) = timeout(READ_WITHIN, reading).await.ok()?.ok()??;
    let mut own = answer(asset, &asked.fields);
    if let Some(id) = asked.fields.first(Name::XRequestId) {
        own.fields.append(Name::XRequestId, &[id]);
    }
    Some(Kept { own, room })
}

impl Kept {
    /// Sends it, as the app's answer.
    pub(crate) async fn send(self, exchange: &mut Exchange<'_>, service: &Rc<ServiceView>) -> Next {
        let Self { mut own, room } = self;
        exchange.found(AssetOutcome::Vault);
        if let Some(standing) = &exchange.standing {
            standing.write(&mut own.fields);
        }
        service.rules.response.apply(&mut own.fields);
        let next = own::send(exchange, own).await;
        drop(room);
        next
    }
}

impl Reads {
    fn begin(&self) -> Option<Read> {
        let read = Read(Arc::clone(&self.0));
        (read.0.fetch_add(1, Relaxed) < READS_MAX).then_some(read)
    }
}

/// One of them; dropping it ends it.
struct Read(Arc<AtomicU32>);

impl Drop for Read {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// The codings that a client takes (RFC 9110 section 12.5.3): all, but for what it does not name or gives no weight. As it is, it takes a
/// file unless it says otherwise.
fn accepted(asked: &Fields) -> Vec<Coding> {
    let of = |name: &[u8]| {
        let mut listed = asked.elements(Name::AcceptEncoding).map(weight);
        listed.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, q)| q)
    };
    let any = of(b"*");
    let is_accepted = |coding: &Coding| {
        let default = if *coding == Coding::Identity { 1000 } else { 0 };
        of(coding.as_str().as_bytes()).or(any).unwrap_or(default) > 0
    };
    CODINGS.into_iter().filter(is_accepted).collect()
}

fn answer(asset: Asset, asked: &Fields) -> Own {
    let is_known = is_known(&asset, asked);
    let mut fields = Fields::default();
    for (name, value) in &asset.fields {
        // RFC 9110 section 15.4.5: what is about the body is known to who has it.
        if !(is_known && is_about_body(name)) {
            fields.append_other(name, value);
        }
    }
    if asset.key.coding != Coding::Identity && !fields.contains(Name::Vary) {
        fields.append(Name::Vary, &[b"Accept-Encoding"]);
    }
    if is_known {
        return Own { status: StatusCode::NOT_MODIFIED, fields, body: Vec::new() };
    }
    fields.append(Name::ContentLength, &[Decimal::of(asset.body.len() as u64).as_bytes()]);
    Own { status: StatusCode::OK, fields, body: asset.body }
}

fn is_about_body(name: &str) -> bool {
    ["content-type", "content-encoding", "content-language", "content-digest", "repr-digest", "digest"]
        .iter()
        .any(|about| name.eq_ignore_ascii_case(about))
}

/// Whether the client has it already (RFC 9110 section 13.2.2).
fn is_known(asset: &Asset, asked: &Fields) -> bool {
    let mut tags = asked.iter().filter(|(name, _)| name.eq_ignore_ascii_case(b"if-none-match")).peekable();
    if tags.peek().is_some() {
        let Some(tag) = asset.field("etag").map(opaque) else { return false };
        return tags
            .flat_map(|(_, line)| list::split(line, b','))
            .any(|known| known == b"*" || opaque(known) == tag);
    }
    let date = |value: &[u8]| httpdate::parse_http_date(std::str::from_utf8(value).ok()?).ok();
    let since = asked.named("if-modified-since").and_then(date);
    let changed = asset.field("last-modified").and_then(date);
    since.zip(changed).is_some_and(|(since, changed)| changed <= since)
}

/// A tag without the mark of a weak one: they are compared weakly (section 8.8.3.2).
fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use cutover_vault::Key;

    use super::*;

    fn asset() -> Asset {
        let fields = [
            ("Content-Type", "text/css"),
            ("ETag", "\"a,b\""),
            ("Last-Modified", "Sun, 22 Nov 2026 10:00:00 GMT"),
            ("Cache-Control", "immutable"),
        ];
        Asset {
            key: Key { target: Arc::from("/a.css"), coding: Coding::Br },
            version: "v1".to_owned(),
            epoch: 1,
            stored_at: 0,
            fields: fields
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
                .collect(),
            body: b"body".to_vec(),
        }
    }

    fn asked(fields: &[(&str, &str)]) -> Own {
        answer(asset(), &Fields::from_iter(fields.iter().copied()))
    }

    #[test]
    fn a_file_comes_with_its_fields() {
        let own = asked(&[]);
        let expected = [
            ("content-type", "text/css"),
            ("etag", "\"a,b\""),
            ("last-modified", "Sun, 22 Nov 2026 10:00:00 GMT"),
            ("cache-control", "immutable"),
            ("vary", "Accept-Encoding"),
            ("content-length", "4"),
        ];
        assert_eq!(
            (own.status.as_u16(), own.fields, own.body),
            (200, Fields::from_iter(expected), b"body".to_vec())
        );
    }

    #[test]
    fn who_has_it_is_told_so() {
        for known in ["\"a,b\"", "\"x\", W/\"a,b\"", "*"] {
            let own = asked(&[("if-none-match", known)]);
            assert_eq!((own.status.as_u16(), own.body.len()), (304, 0), "{known}");
            assert!(own.fields.contains(Name::ETag) && !own.fields.contains(Name::ContentType));
        }
        let statuses = [
            &[("if-none-match", "\"a\"")][..],
            &[("if-none-match", "\"x\""), ("if-modified-since", "Sun, 22 Nov 2026 10:00:00 GMT")],
            &[("if-modified-since", "Sun, 22 Nov 2026 10:00:00 GMT")],
            &[("if-modified-since", "Sun, 22 Nov 2026 09:59:59 GMT")],
            &[("if-modified-since", "yesterday")],
            &[("range", "bytes=0-1")],
        ];
        assert_eq!(statuses.map(|fields| asked(fields).status.as_u16()), [200, 200, 304, 200, 200, 200]);
    }

    #[test]
    fn a_client_gets_what_it_can_read() {
        let of = |accept: &str| accepted(&Fields::from_iter([("accept-encoding", accept)]));
        assert_eq!(of("gzip, br"), [Coding::Br, Coding::Gzip, Coding::Identity]);
        assert_eq!(of("br;q=0, *"), [Coding::Zstd, Coding::Gzip, Coding::Deflate, Coding::Identity]);
        assert_eq!(of("identity;q=0, GZIP;q=0.1"), [Coding::Gzip]);
        assert_eq!(of("*;q=0, br"), [Coding::Br]);
        assert_eq!((of(""), accepted(&Fields::default())), (vec![Coding::Identity], vec![Coding::Identity]));
    }
}
