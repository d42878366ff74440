//! The table of HTTP/2, one file for each area.

pub(crate) mod backends;
pub(crate) mod body_lengths;
pub(crate) mod field_syntax;
pub(crate) mod flow_control;
pub(crate) mod frames;
pub(crate) mod messages;
pub(crate) mod pseudo_headers;
pub(crate) mod settings;
pub(crate) mod streams;

use super::stage::{H2Case, plays};
use crate::case::{Case, case};

/// Fields as a case writes them down.
pub(crate) type Fields<'a> = &'a [(&'a str, &'a str)];

/// The head of a plain request.
pub(crate) const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")];
/// The head of a request that has a body.
pub(crate) const POST: [(&str, &str); 4] =
    [(":method", "POST"), (":scheme", "http"), (":authority", "a"), (":path", "/")];

/// `first`, and these fields behind it.
pub(crate) fn and<'a>(first: &[(&'a str, &'a str)], more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [first, more].concat()
}

/// One case for each row: a request without a body that is malformed. It is refused without reaching anyone.
pub(crate) fn refused(name: &str, rows: &[(&str, Vec<(&'static str, &'static str)>)]) -> Vec<H2Case> {
    rows.iter()
        .map(|(ending, fields)| {
            let fields = fields.clone();
            plays(case(format!("{name}_{ending}")), move |scene| {
                let stream = scene.client.request(&fields);
                if scene.client.refuses(stream)? { scene.client.serves() } else { Ok(()) }
            })
        })
        .collect()
}

/// A request without a body that gets the usual answer.
pub(crate) fn served(case: Case, fields: Vec<(&'static str, &'static str)>) -> H2Case {
    plays(case, move |scene| {
        let stream = scene.client.request(&fields);
        scene.client.gets(stream, 200)?;
        scene.client.serves()
    })
}
