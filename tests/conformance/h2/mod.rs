//! Conformance to HTTP/2: frames and header blocks of our own on both sides of the real binary.
//!
//! A case says, like those of HTTP/1.1, what must reach the upstream; what the client does is a function, because much of it is about the order of frames.

mod answer;
mod backend;
mod cases;
mod client;
mod floods;
mod frame;
mod hpack;
mod link;
mod shutdown;
mod stage;

use std::collections::BTreeSet;

use crate::case;

/// The table has at least so many cases, so that none is lost unnoticed.
const CASES_MIN: usize = 100;

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
    pseudo_headers: pseudo_headers::area,
    field_syntax: field_syntax::area,
    body_lengths: body_lengths::area,
    messages: messages::area,
    frames: frames::area,
    settings: settings::area,
    flow_control: flow_control::area,
    streams: streams::area,
}

/// What depends on how bytes come and go is not the same over TLS.
#[test]
fn over_tls() {
    cases::messages::area().over_tls().play();
    cases::body_lengths::area().over_tls().play();
    cases::flow_control::area().over_tls().play();
}

#[test]
fn backends() {
    stage::play_answered(&cases::backends::cases());
}

#[test]
fn the_table_is_complete_and_every_case_names_its_section() {
    let cases = all_areas().into_iter().flat_map(|area| area.cases).map(|case| case.case.name);
    let cases: Vec<String> =
        cases.chain(cases::backends::cases().into_iter().map(|case| case.name)).collect();
    let names: BTreeSet<&str> = cases.iter().map(String::as_str).collect();

    let nameless: Vec<&str> = names.iter().copied().filter(|name| case::section(name).is_none()).collect();
    assert_eq!(nameless, [""; 0], "names without a section");
    assert_eq!(names.len(), cases.len(), "two cases have the same name");
    assert!(names.len() >= CASES_MIN, "{} cases", names.len());
    println!("{} cases", cases.len());
}
