//! Cells that are counted up and down, and facts of which the latest wins.

use super::*;

#[test]
fn a_tunnel_is_in_flight_until_it_ends() {
    let version = Arc::new(VersionTraffic::default());
    let mut request = InFlight::begin(&version);
    request.becomes_tunnel();
    request.becomes_tunnel();
    assert_eq!((version.in_flight(), version.tunnels()), (1, 1));
    drop(request);
    assert_eq!((version.in_flight(), version.tunnels()), (0, 0));
}

#[test]
fn connections_stop_at_their_limit_and_come_back() {
    let backend = Arc::new(BackendTraffic::default());
    let first = backend.take_connection(1);
    assert!(first.is_some() && backend.take_connection(1).is_none());
    drop(first);
    assert!(backend.take_connection(1).is_some());
}

#[test]
fn a_peak_counts_at_once_and_decays_slowly() {
    let backend = BackendTraffic::default();
    backend.note_latency(100_000, Timestamp(1000));
    backend.note_latency(1000, Timestamp(2000));
    assert!((85_000..95_000).contains(&backend.latency_us()), "{}", backend.latency_us());
    backend.note_latency(1000, Timestamp(62_000));
    assert!(backend.latency_us() < 1500);
}

#[test]
fn the_sighting_of_the_latest_process_counts() {
    let backend = BackendTraffic::default();
    let seen = |generation, label: &str| Sighting {
        generation,
        version: Some(VersionLabel::parse(label).unwrap()),
        boot_id: None,
    };
    assert!(backend.note_sighting(seen(3, "v2")));
    assert!(!backend.note_sighting(seen(3, "v9")) && !backend.note_sighting(seen(2, "v1")));
    assert_eq!(*backend.sighting().unwrap(), seen(3, "v2"));
    assert_eq!(backend.lost_generation(), 3, "nothing more is sent to it");
}

#[test]
fn a_lost_identity_is_news_once() {
    let backend = BackendTraffic::default();
    assert!(backend.note_identity_lost(3));
    assert!(!backend.note_identity_lost(3));
    assert!(!backend.note_identity_lost(2), "an older process is no news");
    assert_eq!(backend.lost_generation(), 3);
}

#[test]
fn what_other_processes_do_for_a_version_is_part_of_its_load() {
    let version = Arc::new(VersionTraffic::default());
    let _own = InFlight::begin(&version);
    let until = Timestamp::from_secs(9);
    version.note_elsewhere(Load { in_flight: 2, tunnels: 1, latest_pin_expiry: until });
    assert_eq!(version.load(), Load { in_flight: 3, tunnels: 1, latest_pin_expiry: until });
    assert_eq!(version.in_flight(), 1);

    version.note_elsewhere(Load::default());
    assert_eq!(version.load(), Load { in_flight: 1, tunnels: 0, latest_pin_expiry: until }, "pins stay");
}
