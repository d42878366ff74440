//! A name server on loopback, with the answers that a test puts in.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A name server for one test. It ends with it.
pub(crate) struct NameServer {
    address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    /// Whether it is still there is how the thread is told that nobody needs it any more.
    _needed: Arc<()>,
}

#[derive(Default)]
struct Zone {
    names: BTreeMap<String, (Vec<IpAddr>, u32)>,
    is_down: bool,
    questions: usize,
}

const A: u16 = 1;
const AAAA: u16 = 28;

impl NameServer {
    pub(crate) fn start() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let address = socket.local_addr().unwrap();
        let zone = Arc::default();
        let needed = Arc::new(());
        let (its_zone, is_needed) = (Arc::clone(&zone), Arc::downgrade(&needed));
        thread::spawn(move || {
            let mut question = [0; 1500];
            while is_needed.strong_count() > 0 {
                let Ok((len, client)) = socket.recv_from(&mut question) else { continue };
                if let Some(answer) = answer(&question[..len], &its_zone) {
                    socket.send_to(&answer, client).unwrap();
                }
            }
        });
        Self { address, zone, _needed: needed }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on `name` has these addresses, for `ttl` seconds. Without one, there is no such name.
    pub(crate) fn set(&self, name: &str, addresses: &[&str], ttl: u32) {
        let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
        self.zone.lock().unwrap().names.insert(name.to_owned(), (addresses, ttl));
    }

    /// From now on it answers nothing, or answers again.
    pub(crate) fn set_down(&self, is_down: bool) {
        self.zone.lock().unwrap().is_down = is_down;
    }

    /// Questions that came.
    pub(crate) fn questions(&self) -> usize {
        self.zone.lock().unwrap().questions
    }
}

/// The answer to a question of one name (RFC 1035 section 4).
fn answer(question: &[u8], zone: &Mutex<Zone>) -> Option<Vec<u8>> {
    let mut zone = zone.lock().unwrap();
    zone.questions += 1;
    if zone.is_down {
        return None;
    }
    let (name, end) = name(question)?;
    let kind = u16::from_be_bytes([*question.get(end)?, *question.get(end + 1)?]);
    let (addresses, ttl) = zone.names.get(&name).cloned().unwrap_or_default();
    let wanted: Vec<_> = addresses.iter().filter(|ip| kind == if ip.is_ipv4() { A } else { AAAA }).collect();
    let no_such_name = if addresses.is_empty() { 3 } else { 0 };
    let mut answer = question[..2].to_vec();
    answer.extend([0x81, 0x80 | no_such_name, 0, 1, 0, u8::try_from(wanted.len()).unwrap(), 0, 0, 0, 0]);
    answer.extend(&question[12..end + 4]);
    for ip in wanted {
        // The name is the one at byte 12.
        answer.extend([0xc0, 12]);
        answer.extend(kind.to_be_bytes());
        answer.extend([0, 1]);
        answer.extend(ttl.to_be_bytes());
        match ip {
            IpAddr::V4(ip) => answer.extend([&[0, 4], &ip.octets()[..]].concat()),
            IpAddr::V6(ip) => answer.extend([&[0, 16], &ip.octets()[..]].concat()),
        }
    }
    Some(answer)
}

/// The name that is asked about, and where it ends.
fn name(question: &[u8]) -> Option<(String, usize)> {
    let mut labels = Vec::new();
    let mut at = 12;
    loop {
        let len = usize::from(*question.get(at)?);
        let label = question.get(at + 1..at + 1 + len)?;
        at += 1 + len;
        if len == 0 {
            return Some((labels.join("."), at));
        }
        labels.push(String::from_utf8_lossy(label).to_lowercase());
    }
}
