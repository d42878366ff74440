//! The memory that serving a request takes, used again by the next one.

use crate::h1::head::{AnswerHead, RequestHead};
use crate::io::buffer::{Buffer, Buffers, SMALL};
use crate::io::relay::Relay;
use crate::message::name::Name;
use crate::serve::upload::Upload;

/// What serving a request takes up memory for. A connection has one while it is busy; the next busy one uses it again.
#[derive(Debug)]
pub(crate) struct Scratch {
    /// The request's head, first as it came, then as the backend gets it.
    pub(crate) asked: RequestHead,
    /// The authority that it is for, as it was given.
    pub(crate) authority: String,
    /// Bytes of the host in it, without its port.
    pub(crate) host_len: usize,
    /// Authority and bytes of the host of the request before, of whichever connection.
    before: (String, usize),
    /// The answer's head, first as it came, then as the client gets it.
    pub(crate) answer: AnswerHead,
    pub(crate) from_client: Buffer,
    pub(crate) from_upstream: Buffer,
    pub(crate) upload: Upload,
    pub(crate) download: Relay,
    /// What the client gets before the answer.
    pub(crate) interim: Vec<u8>,
    /// A head that came over HTTP/2, as it would have come over HTTP/1.1.
    pub(crate) text: Vec<u8>,
}

impl Default for Scratch {
    fn default() -> Self {
        Self {
            asked: RequestHead::default(),
            authority: String::new(),
            host_len: 0,
            before: (String::new(), 0),
            answer: AnswerHead::default(),
            from_client: Buffer::new(SMALL),
            from_upstream: Buffer::new(SMALL),
            upload: Upload::default(),
            download: Relay::default(),
            interim: Vec::new(),
            text: Vec::new(),
        }
    }
}

impl Scratch {
    /// Nothing of it is used for now. Memory that one large message needed is given back.
    pub(crate) fn rest(&mut self, buffers: &Buffers) {
        self.from_client.clear();
        self.from_upstream.clear();
        self.upload.rest();
        self.download.rest();
        buffers.reduce(&mut self.from_client);
        buffers.reduce(&mut self.from_upstream);
        self.interim.clear();
        self.interim.shrink_to(SMALL);
    }

    /// Forgets the request before. What its client sent behind it stays.
    pub(crate) fn begin(&mut self) {
        if !self.authority.is_empty() {
            // Requests that were refused before they named one leave the last one where it is.
            std::mem::swap(&mut self.authority, &mut self.before.0);
            self.before.1 = self.host_len;
        }
        self.authority.clear();
        self.host_len = 0;
        self.from_upstream.clear();
        self.upload.clear();
        self.download.clear();
        self.interim.clear();
    }

    /// Takes up the authority of the request before, if that is what this one's `Host` says: what was found to be an authority then is one now, and nearly all
    /// requests name the same as the one before.
    pub(crate) fn take_known_authority(&mut self) -> bool {
        let Ok(Some(line)) = self.asked.fields.single(Name::Host) else { return false };
        if line.is_empty() || line != self.before.0.as_bytes() || self.asked.authority().is_some() {
            return false;
        }
        std::mem::swap(&mut self.authority, &mut self.before.0);
        self.host_len = self.before.1;
        true
    }
}
