//! The whole engine, fed whole, byte by byte and at random places: where the pieces of a stream begin and end means nothing.

use std::io::Write;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use cutover_core::entropy::Entropy;
use cutover_core::policy::PinMode;

use crate::app::App;
use crate::message::Message;
use crate::world::{Setup, World};

const SEEDS: u64 = 300;

/// How a stream is cut into pieces.
#[derive(Debug, Clone, Copy)]
enum Cut {
    Nowhere,
    Everywhere,
    /// At random, by a seed.
    Here(u64),
}

/// What goes through on one connection: requests with their answers, in order.
type Talk = Vec<(String, String)>;

/// What came of it: what the client got, and what the app did.
type Outcome = (Vec<Message>, Vec<Message>);

/// Writes `text` in pieces, each in a segment of its own as far as the sender can have it so.
fn feed(stream: &mut TcpStream, text: &str, cut: Cut) {
    stream.set_nodelay(true).unwrap();
    let mut entropy = match cut {
        Cut::Here(seed) => Entropy::new(seed),
        Cut::Nowhere | Cut::Everywhere => Entropy::new(0),
    };
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        let len = match cut {
            Cut::Nowhere => rest.len(),
            Cut::Everywhere => 1,
            Cut::Here(_) => pick(&mut entropy, 40) + 1,
        };
        let (piece, after) = rest.split_at(len.min(rest.len()));
        if stream.write_all(piece).is_err() {
            // Whoever refused the begin need not take the end.
            return;
        }
        std::thread::yield_now();
        rest = after;
    }
}

fn pick(entropy: &mut Entropy, below: usize) -> usize {
    usize::try_from(entropy.word() % below as u64).unwrap()
}

/// The body of a message, framed in one of the ways that there are.
fn framed(entropy: &mut Entropy) -> String {
    let body: String = ('a'..='z').cycle().take(pick(entropy, 200)).collect();
    if pick(entropy, 2) == 0 {
        return format!("Content-Length: {}\r\n\r\n{body}", body.len());
    }
    let mut text = "Transfer-Encoding: chunked\r\n\r\n".to_owned();
    let mut rest = &body[..];
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at((pick(entropy, 90) + 1).min(rest.len()));
        let extension = [";", ";a=b", " ; a=\"b;c\"", ""][pick(entropy, 4)];
        text += &format!("{:x}{extension}\r\n{chunk}\r\n", chunk.len());
        rest = after;
    }
    text + "0\r\n" + ["", "X-Sum: 1\r\n", "X-Sum: 1\r\nHost: evil\r\n"][pick(entropy, 3)] + "\r\n"
}

/// A talk by a seed. Some end with a request that is refused.
fn talk(seed: u64) -> Talk {
    let mut entropy = Entropy::new(seed);
    let entropy = &mut entropy;
    let mut talk = Talk::new();
    for at in 0..=pick(entropy, 4) {
        let line = [
            "GET /a?b=c HTTP/1.1\r\nHost: x\r\n",
            "\r\nDELETE / HTTP/1.1\r\nhOST:\t x:80 \t\r\nConnection: X-Gone\r\nX-Gone: 1\r\n",
            "OPTIONS * HTTP/1.1\r\nHost: x\r\nMax-Forwards: 7\r\n",
            "PUT http://y/z HTTP/1.1\r\nHost: x\r\nCookie: a=b; cutover=c\r\n",
        ][pick(entropy, 4)];
        let fields = format!(
            "X-Request-Id: {seed}-{at}\r\n{}",
            ["", "X: \u{e9}, y\r\n", "TE: trailers\r\n"][pick(entropy, 3)]
        );
        let request = match pick(entropy, 2) {
            0 => format!("{line}{fields}\r\n"),
            _ => format!("{line}{fields}{}", framed(entropy)),
        };
        let status = ["200 OK", "404 Not Found", "500 \t", "299"][pick(entropy, 4)];
        let interim = ["", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"][pick(entropy, 2)];
        let date = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nKeep-Alive: 5\r\n";
        talk.push((request, format!("{interim}HTTP/1.1 {status}\r\n{date}{}", framed(entropy))));
    }
    let refused = [
        "",
        "GET / HTTP/1.1\r\nHost: x\r\nX : 1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\nX: 1\r\n\r\n",
        "GET /\u{e9} HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ][pick(entropy, 7)];
    if !refused.is_empty() {
        talk.push((refused.to_owned(), String::new()));
    }
    talk
}

/// An app that gives the answers of the talk under way, cut as it is set, by the ids of the requests.
fn app(stage: &Arc<Mutex<(Talk, Cut)>>) -> App {
    let stage = Arc::clone(stage);
    App::playing(move |mut visit| {
        while let Some(request) = visit.request() {
            let (talk, cut) = stage.lock().unwrap().clone();
            let at = request.field("x-request-id").and_then(|id| id.rsplit('-').next());
            let at: usize = at.unwrap().parse().unwrap();
            feed(visit.stream().get_mut(), &talk[at].1, cut);
        }
    })
}

/// Talks to the world, all requests at once.
fn outcome(world: &World, app: &App, talk: &Talk, cut: Cut) -> Outcome {
    let mut client = world.connect();
    let mut sender = client.sender();
    let asked: String = talk.iter().map(|(request, _)| request.as_str()).collect();
    let sending = std::thread::spawn(move || feed(&mut sender, &asked, cut));
    let mut got = Vec::new();
    for (_, expected) in talk {
        let mut answer = client.answer();
        if answer.status() == 103 {
            got.push(std::mem::replace(&mut answer, client.answer()));
        }
        if expected.is_empty() {
            // An answer of ours, with its own date and id.
            answer.fields.retain(|(name, _)| !matches!(name.as_str(), "date" | "x-request-id"));
            answer.body.clear();
        }
        got.push(answer);
    }
    sending.join().unwrap();
    let answered = talk.iter().filter(|(_, answer)| !answer.is_empty());
    (got, answered.map(|_| app.heard()).collect())
}

#[test]
fn where_a_stream_is_cut_means_nothing() {
    let stage = Arc::new(Mutex::new((Talk::new(), Cut::Nowhere)));
    let app = app(&stage);
    let world = Setup::new(&[("a", &app.address.to_string(), "v1")])
        .policy(|policy| policy.pin.mode = PinMode::None)
        .start();
    for seed in 0..SEEDS {
        let talk = talk(seed);
        let result = |cut| {
            *stage.lock().unwrap() = (talk.clone(), cut);
            outcome(&world, &app, &talk, cut)
        };
        let whole = result(Cut::Nowhere);
        // Thousands of segments take their time: every tenth goes byte by byte.
        let bytewise = (seed % 10 == 0).then_some(Cut::Everywhere);
        for cut in bytewise.into_iter().chain([Cut::Here(seed), Cut::Here(!seed)]) {
            assert_eq!(result(cut), whole, "seed {seed}, cut {cut:?}");
        }
    }
    assert!(app.is_idle(), "nothing else reached the app");
}
