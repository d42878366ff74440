//! One request from its first phase to its last byte: what is in flight because of it, and the record of how it went.

use std::rc::Rc;

use cutover_core::traffic::{InFlight, VersionTraffic};
use tokio::time::Instant;

use crate::body::RequestBody;
use crate::connection::Client;
use crate::upgrade;

/// A request under way. It moves from `serve` into the answer's body or the tunnel, and writes its record when it is dropped: at the last byte, or when the client is gone.
pub(crate) struct Exchange {
    client: Rc<Client>,
    began: Instant,
    in_flight: Option<InFlight>,
    body: Option<Rc<RequestBody>>,
    sent: u64,
}

impl Exchange {
    /// A request begins.
    pub(crate) fn begin(client: &Rc<Client>) -> Self {
        Self { client: Rc::clone(client), began: Instant::now(), in_flight: None, body: None, sent: 0 }
    }

    /// It was decided for a version: a drain of that version waits for it from now on.
    pub(crate) fn decided(&mut self, version: &std::sync::Arc<VersionTraffic>) {
        self.in_flight = Some(InFlight::begin(version));
    }

    pub(crate) fn has_body(&mut self, body: &Rc<RequestBody>) {
        self.body = Some(Rc::clone(body));
    }

    /// It became a tunnel.
    pub(crate) fn becomes_tunnel(&mut self) {
        if let Some(in_flight) = &mut self.in_flight {
            in_flight.becomes_tunnel();
        }
    }

    pub(crate) fn tunnel_ended(self, _end: upgrade::End) {}

    /// So many bytes of the answer's body went to the client.
    pub(crate) fn note_sent(&mut self, bytes: usize) {
        self.sent += bytes as u64;
    }

    /// The backend's answer broke off. Where the end of the connection would look like the end of the answer, only a reset tells the client.
    pub(crate) fn note_broken(&mut self, ends_by_close: bool) {
        if ends_by_close {
            self.client.activity.reset();
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let _ = self.began;
        if self.body.as_ref().is_some_and(|body| !body.is_complete()) {
            self.client.activity.linger();
        }
        self.client.activity.end_request(Instant::now());
    }
}
