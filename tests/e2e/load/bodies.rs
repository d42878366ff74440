//! Bodies far larger than the memory that may be used for them.

use sha2::{Digest as _, Sha256};

use crate::support::http::Request;
use crate::support::stage::Stage;

const BYTES: u64 = 1 << 30;
/// The app server's pattern repeats after this many bytes.
const PERIOD: usize = 251;
const MEMORY_KIB_MAX: u64 = 64 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_of_a_gibibyte_passes_in_constant_memory() {
    let mut stage = Stage::v1().await;
    // Of one whole number of periods and a block more, so that each part is a slice of it wherever it begins.
    let pattern: Vec<u8> = (0..=250).cycle().take(PERIOD + (1 << 20)).collect();

    for path in ["bytes", "chunked"] {
        let mut connection = stage.connect().await;
        connection.send(Request::get(&format!("/{path}?n={BYTES}")).render()).await;
        let head = connection.head().await.unwrap();
        let mut seen = 0_u64;
        let read = connection.body(&head, "GET", |part| {
            let from = usize::try_from(seen % PERIOD as u64).unwrap();
            assert!(
                part == &pattern[from..from + part.len()],
                "damaged between {seen} and {}",
                seen + part.len() as u64
            );
            seen += part.len() as u64;
        });
        read.await.unwrap();
        assert_eq!((head.status, seen), (200, BYTES), "{path}");
    }

    assert_memory(&mut stage);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_of_a_gibibyte_passes_in_constant_memory() {
    let mut stage = Stage::v1().await;
    let block = vec![0x5a_u8; 1 << 20];
    let mut checksum = Sha256::new();
    let mut connection = stage.connect().await;

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
    assert_memory(&mut stage);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_reads_nothing_makes_nothing_pile_up() {
    let mut stage = Stage::v1().await;
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

    assert_memory(&mut stage);
}

fn assert_memory(stage: &mut Stage) {
    let (now, most) = stage.memory_kib();
    eprintln!("resident: {now} KiB, at most {most} KiB");
    assert!(most < MEMORY_KIB_MAX, "{most} KiB of memory for a stream");
}
