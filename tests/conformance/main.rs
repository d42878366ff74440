//! Conformance to the RFCs of HTTP/1.1: a table of cases over raw sockets on both sides of the real binary.
#![cfg(test)]

mod case;
mod cases;
mod client;
mod cut;
mod h2;
mod head;
mod proxy;
mod stage;
mod upstream;
mod wire;

use std::collections::BTreeSet;

/// The table has at least so many cases, so that none is lost unnoticed.
const CASES_MIN: usize = 300;

/// One test for each area of the table, by the function that makes it.
macro_rules! areas {
    ($($test:ident: $($module:ident)::+),* $(,)?) => {
        $(
            #[test]
            fn $test() {
                cases::$($module)::+().play();
            }
        )*

        fn all_areas() -> Vec<stage::Area> {
            vec![$(cases::$($module)::+()),*]
        }
    };
}

areas! {
    request_framing: request_framing::area,
    chunks: chunks::area,
    head_syntax: head_syntax::area,
    request_line: request_line::area,
    host: host::area,
    limits: limits::area,
    limits_of_time: limits::area_of_times,
    hop_by_hop: hop_by_hop::area,
    forwarding: forwarding::area,
    forwarding_for_strangers: forwarding::area_of_strangers,
    upgrade: upgrade::area,
    expect: expect::area,
    interim: interim::area,
    connections: connections::area,
    connections_of_short_lives: connections::area_of_short_lives,
    answer_heads: answer_heads::area,
    answer_framing: answer_framing::area,
    reuse: reuse::area,
    slow_upstreams: reuse::area_of_slow_upstreams,
    old_clients: old_clients::area,
    cookies: cookies::area,
    smuggling: smuggling::area,
}

#[test]
fn the_table_is_complete_and_every_case_names_its_section() {
    let cases: Vec<case::Case> = all_areas().into_iter().flat_map(|area| area.cases).collect();
    let names: BTreeSet<&str> = cases.iter().map(|case| case.name.as_str()).collect();

    let nameless: Vec<&str> = names.iter().copied().filter(|name| case::section(name).is_none()).collect();
    assert_eq!(nameless, [""; 0], "names without a section");
    assert_eq!(names.len(), cases.len(), "two cases have the same name");
    assert!(names.len() >= CASES_MIN, "{} cases", names.len());
    for case in &cases {
        assert!(!case.steps.is_empty(), "{}: the client does nothing", case.name);
    }
    println!("{} cases", cases.len());
}
