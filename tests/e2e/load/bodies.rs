//! Bodies far larger than the memory that may be used for them.

use sha2::{Digest as _, Sha256};

use crate::support::config::{Config, Service};
use crate::support::cutover::Cutover;
use crate::support::http::Request;
use crate::support::script::{Peer, Script};
use crate::support::stage::Stage;

const BYTES: u64 = 1 << 30;
const BLOCK: u64 = 1 << 20;
/// What a stream may need at most, with the parts of the program that it is the first to use.
const GROWTH_KIB_MAX: u64 = 24 * 1024;
/// Buffers of the HTTP implementation on both sides of a stream.
const STALLED_KIB_MAX: u64 = 1536;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_of_a_gibibyte_passes_in_constant_memory() {
    for framing in [format!("Content-Length: {BYTES}"), "Transfer-Encoding: chunked".to_owned()] {
        let upstream = Script::start(move |peer| send(peer, framing.clone())).await;
        let service = Service::new("web").set("identity", "label").set("health.protocol", "tcp");
        let service = service.backend("a", upstream.address(), "v1");
        let mut cutover = Cutover::start(&Config::of(service)).await;
        cutover.admin().until_role("v1", "active").await;
        let mut connection = cutover.connect().await;
        let (before, _) = cutover.memory_kib();

        connection.send(Request::get("/").render()).await;
        let head = connection.head().await.unwrap();
        let (block, mut seen) = (block(), 0_u64);
        let body = connection.body(&head, "GET", |mut part| {
            while !part.is_empty() {
                let from = usize::try_from(seen % BLOCK).unwrap();
                let length = part.len().min(block.len() - from);
                assert!(part[..length] == block[from..from + length], "damaged after {seen} bytes");
                seen += length as u64;
                part = &part[length..];
            }
        });
        body.await.unwrap();

        assert_eq!((head.status, seen), (200, BYTES), "{head:?}");
        assert_memory(&mut cutover, before);
    }
}

/// Answers each request with [`BYTES`], framed as the field says.
async fn send(mut peer: Peer, framing: String) {
    let block = block();
    let (before, after) = match framing.contains("chunked") {
        true => (format!("{BLOCK:x}\r\n"), "\r\n"),
        false => (String::new(), ""),
    };
    let part = [before.as_bytes(), &block, after.as_bytes()].concat();
    while peer.head().await.is_some() {
        peer.write(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n")).await;
        for _ in 0..BYTES / BLOCK {
            peer.write(&part).await;
        }
        if !after.is_empty() {
            peer.write("0\r\n\r\n").await;
        }
    }
}

/// [`BLOCK`] bytes in which no two parts of a usual size are the same.
fn block() -> Vec<u8> {
    (0..=250).cycle().take(usize::try_from(BLOCK).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_of_a_gibibyte_passes_in_constant_memory() {
    let mut stage = Stage::v1().await;
    let block = vec![0x5a_u8; 1 << 20];
    let mut checksum = Sha256::new();
    let mut connection = stage.connect().await;
    let (before, _) = stage.memory_kib();

    connection
        .send(format!("POST /sink HTTP/1.1\r\nHost: web.test\r\nContent-Length: {BYTES}\r\n\r\n"))
        .await;
    for _ in 0..BYTES >> 20 {
        checksum.update(&block);
        connection.send(&block).await;
    }
    let seen = connection.answer("POST").await.json();

    let checksum: String = checksum.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!((&seen["bytes"], &seen["sha256"]), (&BYTES.into(), &checksum.into()));
    assert_memory(&mut stage, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_reads_nothing_makes_nothing_pile_up() {
    let mut stage = Stage::v1().await;
    let (before, _) = stage.memory_kib();
    let mut connections = Vec::new();
    for _ in 0..16 {
        let mut connection = stage.connect().await;
        connection.send(Request::get(&format!("/bytes?n={BYTES}")).render()).await;
        connections.push(connection);
    }

    crate::support::wait::until("all are in flight", async || {
        (stage.admin().version("v1").await["in_flight"] == 16).then_some(())
    })
    .await;
    // Time in which a proxy without back pressure would take some hundred megabytes each.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;

    let (after, _) = stage.memory_kib();
    eprintln!("{} KiB for each connection that stalls", (after - before) / 16);
    assert!(after - before < 16 * STALLED_KIB_MAX, "from {before} to {after} KiB");
}

/// How large the program itself is depends on how it was built: what counts is what a stream adds.
fn assert_memory(cutover: &mut Cutover, before: u64) {
    let (now, most) = cutover.memory_kib();
    eprintln!("resident: {before} KiB before, {now} KiB after, at most {most} KiB");
    assert!(most - before < GROWTH_KIB_MAX, "{} KiB of memory for a stream", most - before);
}
