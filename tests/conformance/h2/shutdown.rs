//! The end of a proxy, as its clients see it (RFC 9113 section 6.8).

use super::client::{Client, PLAIN};
use super::frame::Code;
use super::link::Link;
use crate::case::say;
use crate::client::ask_marker;
use crate::cut::Cut;
use crate::proxy::{Config, Proxy};
use crate::upstream::{Act, Upstream};
use crate::wire::Fault;

const GET: [(&str, &str); 4] = [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")];

#[test]
fn rfc9113_6_8_a_proxy_that_ends_names_the_last_stream_and_finishes_it() {
    let upstream = Upstream::start();
    let mut proxy =
        Proxy::start(Config::default(), upstream.address(), |address| ask_marker(address).is_ok());
    upstream.begin(
        &[vec![Act::Body, Act::OnCue, say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")]],
        Cut::Whole,
    );
    let mut client = Client::greet(Link::connect(proxy.address(), Cut::Whole).unwrap(), &PLAIN).unwrap();
    let stream = client.request(&GET);
    upstream.wait_for_requests(1).unwrap();

    proxy.terminate();
    client.until("a GOAWAY", |client| client.goaway.is_some()).unwrap();
    let (last, code) = client.goaway.unwrap();
    assert!(last >= stream && code == Code::NO_ERROR, "{last} and {code:?}");
    upstream.cue();

    assert_eq!(client.gets(stream, 200).unwrap().body, b"hello");
    let is_last = |client: &Client| client.goaway == Some((stream, Code::NO_ERROR));
    client.until("a GOAWAY with the last stream", is_last).unwrap();
    assert_eq!(client.link.rest(), Fault::Closed);
    assert!(proxy.has_ended_well(), "{}", proxy.log());
}
