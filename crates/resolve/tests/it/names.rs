//! What a name resolves to while its records change, and while its servers are in trouble.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cutover_resolve::{ConnectError, Dns, LookUpError, Name, Names, Place};
use tokio::net::TcpListener;
use tokio::time::sleep;

use crate::dns::NameServer;

#[tokio::test]
async fn a_name_has_the_addresses_of_both_families() {
    let stage = Stage::new(&["::1", "127.0.0.1"], 60);
    let mut addresses = stage.name().addresses().await.unwrap();
    addresses.sort_unstable();
    assert_eq!(addresses, ["127.0.0.1", "::1"].map(|text| text.parse::<IpAddr>().unwrap()));
}

#[tokio::test]
async fn every_address_has_its_turn_to_be_first() {
    let stage = Stage::new(&["127.0.0.1", "127.0.0.2", "127.0.0.3"], 60);
    let name = stage.name();
    let mut first = Vec::new();
    for _ in 0..4 {
        first.push(name.addresses().await.unwrap()[0]);
    }
    assert_eq!(first[0], first[3]);
    first.truncate(3);
    first.sort_unstable();
    first.dedup();
    assert_eq!(first.len(), 3);
}

#[tokio::test]
async fn records_that_change_are_seen_when_their_ttl_is_over() {
    let stage = Stage::new(&["127.0.0.1"], 1);
    let name = stage.name();
    assert_eq!(only(&name).await, "127.0.0.1");
    stage.server.set("app.test", &["127.0.0.2"], 1);
    until(async || only(&name).await == "127.0.0.2").await;
    assert!(!name.has("127.0.0.1".parse().unwrap()));
}

#[tokio::test]
async fn within_the_ttl_nobody_asks() {
    let stage = Stage::new(&["127.0.0.1"], 300);
    let name = stage.name();
    name.addresses().await.unwrap();
    let asked = stage.server.questions();
    for _ in 0..100 {
        stage.name().addresses().await.unwrap();
    }
    sleep(Duration::from_millis(1200)).await;
    assert_eq!(stage.server.questions(), asked);
}

#[tokio::test]
async fn the_last_answer_is_used_while_no_server_answers() {
    let stage = Stage::new(&["127.0.0.1"], 1);
    let name = stage.name();
    assert_eq!(only(&name).await, "127.0.0.1");
    stage.server.set_down(true);
    let asked = stage.server.questions();
    until(async || stage.server.questions() > asked + 1).await;
    let began = Instant::now();
    assert_eq!(only(&name).await, "127.0.0.1");
    assert!(began.elapsed() < Duration::from_millis(100), "nobody waits for a server that is down");
}

#[tokio::test]
async fn a_name_that_does_not_exist_says_so() {
    let stage = Stage::new(&[], 1);
    let place = Place::new(&"app.test:80".parse().unwrap(), &stage.names);
    let error = place.connect().await.unwrap_err();
    assert!(matches!(error, ConnectError::Resolve(LookUpError::NoAddress)), "{error:?}");
    stage.server.set("app.test", &["127.0.0.1"], 1);
    until(async || stage.name().addresses().await.is_ok()).await;
}

#[tokio::test]
async fn the_address_that_listens_is_found_wherever_it_is() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let stage = Stage::new(&["::1", "127.0.0.2", "127.0.0.1"], 60);
    let place = Place::new(&format!("app.test:{port}").parse().unwrap(), &stage.names);
    for _ in 0..3 {
        let socket = place.connect().await.unwrap();
        assert_eq!(socket.peer(), Some(Ipv4Addr::LOCALHOST.into()));
        assert!(place.is_at(socket.peer()));
    }
}

#[tokio::test]
async fn without_a_keeper_names_end_instead_of_waiting() {
    let error = Names::default().name("app.test").addresses().await.unwrap_err();
    assert!(matches!(error, LookUpError::Ended));
}

#[tokio::test]
async fn this_machine_needs_no_server_to_know_itself() {
    let stage = Stage::new(&[], 1);
    let addresses = stage.names.name("localhost").addresses().await.unwrap();
    assert!(addresses.iter().all(IpAddr::is_loopback), "{addresses:?}");
}

/// Names that are looked up by a server which knows `app.test`.
struct Stage {
    server: NameServer,
    names: Names,
}

impl Stage {
    fn new(addresses: &[&str], ttl: u32) -> Self {
        let server = NameServer::start();
        server.set("app.test", addresses, ttl);
        let (names, keeper) = Names::new(Dns::of_servers(vec![server.address()]));
        tokio::spawn(keeper.run());
        Self { server, names }
    }

    fn name(&self) -> Arc<Name> {
        self.names.name("app.test")
    }
}

/// The one address that the name has.
async fn only(name: &Name) -> String {
    let addresses = name.addresses().await.unwrap();
    assert_eq!(addresses.len(), 1, "{addresses:?}");
    addresses[0].to_string()
}

async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < Duration::from_secs(20), "it is not so after 20 s");
        sleep(Duration::from_millis(20)).await;
    }
}
