//! Connections that are kept, taken, and seen to end.

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
    LocalSet::new().block_on(&runtime, test(Pool::new(&entry, &Rc::default())));
}

/// A connection that is ready, and its other end.
async fn connection(pool: &Pool, generation: u32) -> (Box<Connection>, UnixStream) {
    let (near, far) = UnixStream::pair().unwrap();
    let slot = pool.traffic.take_connection(0).unwrap();
    (Box::new(Connection { stream: Stream::Unix(near), generation, idled: None, slot }), far)
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
        assert!(matches!(pool.take(1, Millis::from_secs(2), now), Ok(Some(_))));
        assert!(matches!(pool.take(1, Millis::from_secs(2), now), Ok(None)), "two seconds old is too old");
        assert_eq!(pool.traffic.connections(), 0);
    });
}

#[test]
fn connections_to_an_earlier_process_are_closed() {
    with_pool(async |pool| {
        let (idle, _far) = connection(&pool, 1).await;
        let (busy, _far2) = connection(&pool, 1).await;
        pool.give_back(idle, &UpstreamPolicy::default(), Instant::now());
        pool.renew(2, true);
        pool.give_back(busy, &UpstreamPolicy::default(), Instant::now());
        assert_eq!(pool.traffic.connections(), 0);
        assert!(matches!(pool.take(1, IDLE, Instant::now()), Err(NoConnection::Replaced)));
    });
}

#[test]
fn what_the_backend_closed_is_swept() {
    with_pool(async |pool| {
        let (idle, far) = connection(&pool, 1).await;
        pool.give_back(idle, &UpstreamPolicy::default(), Instant::now());
        pool.sweep(IDLE, Instant::now());
        assert_eq!(pool.traffic.connections(), 1);
        drop(far);
        tokio::task::yield_now().await;
        tokio::time::sleep(Duration::from_millis(5)).await;
        pool.sweep(IDLE, Instant::now());
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
        assert!(matches!(pool.take(1, IDLE, Instant::now()), Err(NoConnection::Replaced)));
    });
}
