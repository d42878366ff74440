//! Floods: what costs a client nothing must not cost the proxy memory, nor other clients their answers. Everything is counted, and nothing is timed.

use super::client::Client;
use super::frame::{Code, Frame, flag, kind, setting};
use super::hpack;
use super::link::Link;
use crate::client::ask_marker;
use crate::cut::Cut;
use crate::proxy::{Config, Proxy};
use crate::upstream::{Act, Upstream};

/// By how much the proxy may grow, in KiB: far below what any of the floods would take if it were kept.
const GROWTH_MAX: u64 = 32 << 10;
const FRAMES: usize = 100_000;

const GET: [(&str, &str); 4] = [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")];
const POST: [(&str, &str); 4] =
    [(":method", "POST"), (":scheme", "http"), (":authority", "a"), (":path", "/")];

/// A proxy and what is behind it.
struct Pool {
    upstream: Upstream,
    proxy: Proxy,
}

impl Pool {
    fn open() -> Self {
        let upstream = Upstream::start();
        let proxy =
            Proxy::start(Config::default(), upstream.address(), |address| ask_marker(address).is_ok());
        Self { upstream, proxy }
    }

    fn client(&self, settings: &[(u16, u32)]) -> Client {
        Client::greet(Link::connect(self.proxy.address(), Cut::Whole).unwrap(), settings).unwrap()
    }

    /// Lets a client flood. Meanwhile and after it, another one is served, and the proxy has not grown. Answers the requests that the upstream heard.
    fn survives(&self, flood: impl FnOnce(&mut Client)) -> usize {
        self.upstream.begin(&[], Cut::Whole);
        let mut other = self.client(&[]);
        let before = self.proxy.memory();
        let mut client = self.client(&[]);
        flood(&mut client);
        other.serves().unwrap();
        let after = self.proxy.memory();
        assert!(after < before + GROWTH_MAX, "it had {before} KiB and has {after} KiB");
        drop(client);
        other.serves().unwrap();
        self.client(&[]).serves().unwrap();
        self.upstream.end().0.len()
    }
}

/// Writes so many times the same, and reads nothing meanwhile.
fn repeat(client: &mut Client, frames: &[Frame], times: usize) {
    let bytes: Vec<u8> = frames.iter().flat_map(Frame::bytes).collect();
    for _ in 0..times.div_ceil(100) {
        client.link.write(&bytes.repeat(100));
    }
}

fn open(stream: u32, fields: &[(&str, &str)], flags: u8) -> Frame {
    Frame::new(kind::HEADERS, flag::END_HEADERS | flags, stream, hpack::encode(fields))
}

#[test]
fn rfc9113_10_5_streams_that_are_reset_at_once_end_the_connection() {
    let pool = Pool::open();
    let heard = pool.survives(|client| {
        for number in 0..10_000 {
            let stream = 2 * number + 1;
            client.link.write(
                &[open(stream, &GET, flag::END_STREAM).bytes(), Frame::reset(stream, Code::CANCEL).bytes()]
                    .concat(),
            );
        }
        client.goes_away(&[Code::ENHANCE_YOUR_CALM]).unwrap();
    });
    assert!(heard < 1000, "{heard} requests reached the upstream");
}

#[test]
fn rfc9113_10_5_1_a_header_block_without_an_end_ends_the_connection() {
    Pool::open().survives(|client| {
        client.send(&Frame::new(kind::HEADERS, flag::END_STREAM, 1, hpack::encode(&GET)));
        let field = hpack::encode(&[("x-a", "a".repeat(1000))]);
        repeat(client, &[Frame::new(kind::CONTINUATION, flag::NONE, 1, field)], 10_000);
        client.goes_away(&[Code::ENHANCE_YOUR_CALM, Code::PROTOCOL_ERROR, Code::COMPRESSION_ERROR]).unwrap();
    });
}

#[test]
fn rfc9113_10_5_1_empty_pieces_of_a_header_block_end_the_connection() {
    Pool::open().survives(|client| {
        client.send(&Frame::new(kind::HEADERS, flag::END_STREAM, 1, hpack::encode(&GET)));
        repeat(client, &[Frame::new(kind::CONTINUATION, flag::NONE, 1, "")], FRAMES);
        client.goes_away(&[Code::ENHANCE_YOUR_CALM, Code::PROTOCOL_ERROR]).unwrap();
    });
}

#[test]
fn rfc7541_7_3_a_small_block_of_many_large_fields_ends_the_connection() {
    let pool = Pool::open();
    let heard = pool.survives(|client| {
        let mut entry = hpack::encode(&[("x-a", "a".repeat(4000))]);
        entry[0] = 0x40;
        let block = [hpack::encode(&GET), entry, vec![0xbe; 8000]].concat();
        client.next += 2;
        client.send(&Frame::new(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, 1, block));
        client.goes_away(&[Code::ENHANCE_YOUR_CALM]).unwrap();
    });
    assert_eq!(heard, 0);
}

#[test]
fn rfc9113_10_5_settings_without_an_end_are_borne() {
    Pool::open().survives(|client| {
        repeat(client, &[Frame::settings(&[(setting::INITIAL_WINDOW_SIZE, 70_000)])], FRAMES);
    });
}

#[test]
fn rfc9113_10_5_tables_that_are_resized_without_an_end_are_borne() {
    Pool::open().survives(|client| {
        let sizes = [0, u32::MAX].map(|size| Frame::settings(&[(setting::HEADER_TABLE_SIZE, size)]));
        repeat(client, &sizes, FRAMES / 2);
    });
}

#[test]
fn rfc9113_10_5_pings_whose_answers_nobody_reads_are_borne() {
    Pool::open().survives(|client| repeat(client, &[Frame::ping([1; 8])], FRAMES));
}

#[test]
fn rfc9113_10_5_windows_that_grow_by_one_are_borne() {
    Pool::open().survives(|client| {
        repeat(client, &[Frame::window_update(0, 1)], FRAMES);
        client.sync().unwrap();
    });
}

#[test]
fn rfc9113_10_5_priorities_without_an_end_are_borne() {
    Pool::open().survives(|client| {
        repeat(client, &[Frame::new(kind::PRIORITY, 0, 101, [0, 0, 0, 3, 15])], FRAMES);
        client.sync().unwrap();
    });
}

#[test]
fn rfc9113_10_5_empty_pieces_of_a_body_are_borne() {
    let pool = Pool::open();
    pool.upstream.begin(&[vec![Act::Gone]], Cut::Whole);
    pool.survives(|client| {
        client.send(&open(1, &POST, flag::NONE));
        repeat(client, &[Frame::data(1, flag::NONE, "")], FRAMES);
    });
}

#[test]
fn rfc9113_10_5_requests_that_are_refused_are_not_kept() {
    Pool::open().survives(|client| {
        let malformed = [GET[0], GET[1], GET[2], (":path", "")];
        for number in 0..10_000 {
            client.send(&open(2 * number + 1, &malformed, flag::END_STREAM));
        }
        // It may have had enough of them.
        let _ = client.sync();
    });
}

#[test]
fn rfc9113_10_5_answers_that_nobody_reads_are_not_kept() {
    const ANSWER: usize = 4 << 20;
    const STREAMS: usize = 64;
    let pool = Pool::open();
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {ANSWER}\r\n\r\n{}", "x".repeat(ANSWER));
    let scripts = vec![vec![Act::Say(answer.into_bytes())]; STREAMS];
    pool.upstream.begin(&scripts, Cut::Whole);
    let mut other = pool.client(&[]);
    let before = pool.proxy.memory();
    let mut client = pool.client(&[]);
    client.is_refilling = false;
    let streams: Vec<u32> = (0..STREAMS).map(|_| client.request(&GET)).collect();
    pool.upstream.wait_for_requests(STREAMS).unwrap();
    let has_begun = |client: &Client| streams.iter().all(|stream| !client.so_far(*stream).head.is_empty());
    client.until("every head", has_begun).unwrap();
    other.serves().unwrap();
    let after = pool.proxy.memory();
    assert!(after < before + GROWTH_MAX, "it had {before} KiB and has {after} KiB");
}
