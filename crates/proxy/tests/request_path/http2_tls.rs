//! Clients that agree on HTTP/2 by ALPN (RFC 9113 section 3.2), in frames as they are on the wire.

use std::io::Read as _;
use std::sync::Arc;

use crate::app::App;
use crate::secured::{Authority, Secured, listener};
use crate::world::{SOON, Setup};

/// What a client begins with (RFC 9113 section 3.4): the preface, and settings that change nothing.
const BEGIN: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const GOAWAY: u8 = 7;

/// Reads frames up to the first of this type; `None` when the connection ends before.
fn payload(client: &mut Secured, wanted: u8) -> Option<Vec<u8>> {
    loop {
        let mut head = [0; 9];
        client.0.read_exact(&mut head).ok()?;
        let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
        client.0.read_exact(&mut payload).ok()?;
        if head[3] == wanted {
            return Some(payload);
        }
    }
}

#[test]
fn rfc9113_6_8_a_connection_that_idles_is_told_of_the_end_at_once() {
    let app = App::saying("hello");
    let authority = Authority::new();
    let setup = Setup::new(&[("a", &app.address.to_string(), "v1")]);
    let world = Setup { listener: listener(&authority.tls()), ..setup }.start();
    let mut config = authority.stranger();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let mut client = Secured::connect(world.address, &Arc::new(config)).unwrap();
    assert_eq!(client.tls().alpn_protocol(), Some(&b"h2"[..]));
    client.send(BEGIN);
    world.shutdown(SOON);
    // A client that answers no ping is not waited for to the end of all time.
    assert!(payload(&mut client, GOAWAY).is_some(), "it is told, and long before it has idled for too long");
    drop(client);
    assert_eq!(world.ended(), 0);
}
