//! Connections that are kept, taken, and seen to end.

use std::future::poll_fn;
use std::task::Poll;

use cutover_tls::client::Connectors;
use tokio::net::UnixStream;
use tokio::task::LocalSet;

use super::*;

const IDLE: Millis = Millis::from_secs(60);

/// Runs a test with a pool of generation 1.
fn with_pool<F: Future<Output = ()>>(test: impl FnOnce(Pool) -> F) {
    let entry = BackendEntry {
        id: cutover_core::id::BackendId::parse("a").unwrap(),
        hash: 1,
        address: "127.0.0.1:1".parse().unwrap(),
        weight: 1,
        generation: 1,
        up_since: None,
        eviction: None,
        traffic: Arc::default(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, test(Pool::new(&entry, &wire(), &Rc::default())));
}

fn wire() -> Wire {
    Wire::new(&UpstreamPolicy::default(), &Connectors::default())
}

/// A connection that is ready, and its other end.
async fn connection(pool: &Pool, generation: u32) -> (Box<Connection>, UnixStream) {
    let (near, far) = UnixStream::pair().unwrap();
    let slot = pool.traffic.take_connection(0).unwrap();
    (
        Box::new(Connection {
            stream: Stream::Unix(near),
            peer: None,
            told: None,
            generation,
            idled: None,
            slot: Slot::Own(slot),
        }),
        far,
    )
}

#[test]
fn the_connection_used_last_is_taken_first() {
    with_pool(async |pool| {
        let (now, mut far) = (Instant::now(), Vec::new());
        for age in [3, 2, 1] {
            let (mut connection, end) = connection(&pool, 1).await;
            connection.generation = 1;
            let policy = UpstreamPolicy { max_idle: 2, ..UpstreamPolicy::default() };
            pool.give_back(connection, &policy, now - Duration::from_secs(age));
            far.push(end);
        }
        assert_eq!(pool.traffic.connections(), 2, "the oldest had to go");
        assert!(matches!(pool.take(1, None, Millis::from_secs(2), now), Ok(Some(_))));
        assert!(
            matches!(pool.take(1, None, Millis::from_secs(2), now), Ok(None)),
            "two seconds old is too old"
        );
        assert_eq!(pool.traffic.connections(), 0);
    });
}

#[test]
fn connections_to_an_earlier_process_are_closed() {
    with_pool(async |pool| {
        let (idle, _far) = connection(&pool, 1).await;
        let (busy, _far2) = connection(&pool, 1).await;
        pool.give_back(idle, &UpstreamPolicy::default(), Instant::now());
        pool.renew(2, &wire(), true);
        pool.give_back(busy, &UpstreamPolicy::default(), Instant::now());
        assert_eq!(pool.traffic.connections(), 0);
        assert!(matches!(pool.take(1, None, IDLE, Instant::now()), Err(NoConnection::Replaced)));
    });
}

#[test]
fn what_the_backend_closed_is_swept() {
    with_pool(async |pool| {
        let (idle, far) = connection(&pool, 1).await;
        pool.give_back(idle, &UpstreamPolicy::default(), Instant::now());
        pool.sweep(IDLE, 128, Instant::now());
        assert_eq!(pool.traffic.connections(), 1);
        drop(far);
        tokio::task::yield_now().await;
        tokio::time::sleep(Duration::from_millis(5)).await;
        pool.sweep(IDLE, 128, Instant::now());
        assert_eq!(pool.traffic.connections(), 0);
    });
}

#[test]
fn a_lost_process_gets_nothing_back() {
    with_pool(async |pool| {
        let (busy, _far) = connection(&pool, 1).await;
        pool.traffic.note_identity_lost(1);
        pool.give_back(busy, &UpstreamPolicy::default(), Instant::now());
        assert_eq!(pool.traffic.connections(), 0);
        assert!(matches!(pool.take(1, None, IDLE, Instant::now()), Err(NoConnection::Replaced)));
    });
}

/// Whether the end of what idles is taken for the end of the process.
async fn sees_loss(pool: &Pool) -> bool {
    // The event loop has to see it first.
    tokio::time::sleep(Duration::from_millis(5)).await;
    poll_fn(|cx| Poll::Ready(pool.look(IDLE, Instant::now(), cx))).await
}

#[test]
fn one_death_is_no_habit_when_its_connections_are_seen_to_end_one_by_one() {
    with_pool(async |pool| {
        let idle = async |generation, age_ms| {
            let (connection, far) = connection(&pool, generation).await;
            let since = Instant::now() - Duration::from_millis(age_ms);
            pool.give_back(connection, &UpstreamPolicy::default(), since);
            far
        };
        let (first, second) = (idle(1, 2300).await, idle(1, 2000).await);
        drop(first);
        assert!(sees_loss(&pool).await);
        pool.traffic.note_identity_lost(1);
        drop(second);
        assert!(!sees_loss(&pool).await, "that is known");
        pool.renew(2, &wire(), true);
        let age = Duration::from_millis(2100);
        assert!(!pool.is_early_end(1, age, &UpstreamPolicy::default()), "and so is what a request ran into");
        drop(idle(2, 3000).await);
        assert!(sees_loss(&pool).await, "nobody gives up connections at that age");
    });
}

#[test]
fn what_was_told_of_one_client_serves_no_other() {
    with_pool(async |pool| {
        let (now, policy) = (Instant::now(), UpstreamPolicy::default());
        let of = |port: u16| {
            let source = ([192, 0, 2, 1], port).into();
            Some(Endpoints { source, destination: ([192, 0, 2, 2], 80).into() })
        };
        let mut ends = Vec::new();
        for (port, age) in [(1, 30), (2, 20), (1, 10), (3, 5)] {
            let (mut connection, end) = connection(&pool, 1).await;
            connection.told = of(port);
            pool.give_back(connection, &policy, now - Duration::from_secs(age));
            ends.push(end);
        }
        let taken = |told| pool.take(1, told, IDLE, now).unwrap().and_then(|connection| connection.idled);
        assert_eq!(taken(of(1)), Some(Duration::from_secs(10)), "the one used last");
        assert_eq!([taken(of(4)), taken(None)], [None, None]);
        let too_old = pool.take(1, of(2), Millis::from_secs(15), now);
        assert!(matches!(too_old, Ok(None)));
        assert_eq!(taken(of(1)), None, "that went with those that are older than one which is too old");
        assert_eq!(taken(of(3)), Some(Duration::from_secs(5)));
    });
}
