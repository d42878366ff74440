//! Conformance to the RFCs of HTTP/1.1: a table of cases over raw sockets on both sides of the real binary.
#![cfg(test)]

mod case;
mod cases;
mod client;
mod cut;
mod proxy;
mod stage;
mod upstream;
mod wire;

use std::collections::BTreeSet;

/// The table has at least so many cases, so that none is lost unnoticed.
const CASES_MIN: usize = 300;

/// One test for each area of the table.
macro_rules! areas {
    ($($area:ident),* $(,)?) => {
        $(
            #[test]
            fn $area() {
                cases::$area::area().play();
            }
        )*

        fn all_areas() -> Vec<stage::Area> {
            vec![$(cases::$area::area()),*]
        }
    };
}

areas! {
    request_framing,
    chunks,
    head_syntax,
    request_line,
    host,
    limits,
    hop_by_hop,
    forwarding,
    upgrade,
    expect,
    interim,
}

#[test]
fn the_table_is_complete_and_every_case_names_its_section() {
    let cases: Vec<case::Case> = all_areas().into_iter().flat_map(|area| area.cases).collect();
    let names: BTreeSet<&str> = cases.iter().map(|case| case.name.as_str()).collect();

    let nameless: Vec<&str> =
        names.iter().copied().filter(|name| case::section(name).is_none()).collect();
    assert_eq!(nameless, [""; 0], "names without a section");
    assert_eq!(names.len(), cases.len(), "two cases have the same name");
    assert!(names.len() >= CASES_MIN, "{} cases", names.len());
    for case in &cases {
        assert!(!case.steps.is_empty(), "{}: the client does nothing", case.name);
    }
    println!("{} cases", cases.len());
}
