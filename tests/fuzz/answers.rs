//! Answers on their way through the whole engine: how the bytes are split changes nothing; what the client gets is well-formed, and nothing
//! else than what hyper's client understands of the same bytes. An answer that breaks off never looks whole.
//!
//! We refuse more than hyper does, always with 502: what its parser takes and ours does not (see the target `answer_head`), lengths that are
//! repeated, bad, or beside a coding, codings but one `chunked` and any in HTTP/1.0, what changes the protocol unasked, and chunk lines with
//! whitespace or control bytes.
#![no_main]

use cutover_fuzz::message::{self, Answer, Fields};
use cutover_fuzz::world::{Outcome, World};
use cutover_fuzz::{reference, split};
use libfuzzer_sys::fuzz_target;

thread_local! {
    static WORLD: Option<World> = World::new();
}

fuzz_target!(|data: &[u8]| {
    let (cuts, input) = split::cuts(data);
    let method = if data.first().is_some_and(|first| first & 0x80 != 0) { "HEAD" } else { "GET" };
    let request = format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n");
    WORLD.with(|world| {
        let Some(world) = world else { panic!("it can't be set up") };
        let whole = got(&world.answer(request.as_bytes(), input, &[]), method);
        let pieces = got(&world.answer(request.as_bytes(), input, &cuts), method);
        assert!(is_same(&whole, &pieces), "in pieces {pieces:?}, whole {whole:?}");
        compare(&whole, reference::answer(method, input).as_ref());
    });
});

/// The one answer.
fn got(outcome: &Outcome, method: &str) -> Answer {
    let mut answers = message::answers(&outcome.answers, |_| method == "HEAD");
    assert_eq!(answers.len(), 1, "{answers:?}");
    answers.remove(0)
}

/// How much there is of one that broke off is a matter of time: when the client has nothing of it yet, it gets a 502.
fn is_same(whole: &Answer, pieces: &Answer) -> bool {
    let rest =
        |answer: &Answer| (answer.status, compared(&answer.message.fields, &[]), answer.message.body.clone());
    is_broken(whole) == is_broken(pieces) && (is_broken(whole) || rest(whole) == rest(pieces))
}

const fn is_broken(answer: &Answer) -> bool {
    answer.status == 502 || !answer.is_whole
}

fn compare(found: &Answer, expected: Option<&Answer>) {
    // What is refused is in the list, or broken for hyper too.
    if is_broken(found) {
        return;
    }
    let Some(expected) = expected else { panic!("hyper refuses {found:?}") };
    assert_eq!(found.status, expected.status);
    assert_eq!(found.message.body, expected.message.body);
    let ended = expected.message.elements("connection");
    assert_eq!(compared(&found.message.fields, &[]), compared(&expected.message.fields, &ended));
    for trailer in &found.message.trailers {
        assert!(expected.message.trailers.contains(trailer), "{trailer:?} is new");
    }
}

/// Fields that are about one hop, or the proxy's own to say.
const NOT_COMPARED: [&str; 15] = [
    "connection",
    "content-length",
    "cutover-update",
    "date",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "set-cookie",
    "te",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-request-id",
];
/// `Connection` can't take it out.
const PROTECTED: &str = "cache-control";

/// What goes from end to end, by its names.
fn compared(fields: &Fields, ended: &[String]) -> Fields {
    let is_compared = |name: &String| {
        let is_ended = ended.contains(name) && name != PROTECTED;
        !is_ended && !NOT_COMPARED.contains(&name.as_str()) && !name.starts_with("x-app-")
    };
    let mut compared: Fields = fields.iter().filter(|(name, _)| is_compared(name)).cloned().collect();
    compared.sort_by(|(one, _), (other, _)| one.cmp(other));
    compared
}
