//! What counts as one client where clients are counted: an IPv4 address, or the /64 network of an IPv6 address, of which a household has
//! at least one and every device as many addresses as it likes.

use std::net::IpAddr;

/// A client, in eight bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientKey(u64);

impl ClientKey {
    /// The client at `address`. One of IPv4 that is mapped into IPv6 counts as IPv4.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            // As a network of a range that nobody has (RFC 4291 section 2.4: what begins with zeros is reserved).
            IpAddr::V4(address) => Self(V4 | u64::from(address.to_bits())),
            IpAddr::V6(address) => {
                let [network @ .., _, _, _, _, _, _, _, _] = address.octets();
                Self(u64::from_be_bytes(network))
            }
        }
    }
}

const V4: u64 = 0x0000_ffff_0000_0000;

#[cfg(test)]
mod tests {
    use super::*;

    fn key(address: &str) -> ClientKey {
        ClientKey::of(address.parse().unwrap())
    }

    #[test]
    fn a_client_is_an_address_or_a_network_of_ipv6() {
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
        assert_eq!(key("192.0.2.1"), key("::ffff:192.0.2.1"));
        assert_eq!(key("2001:db8:0:1::1"), key("2001:db8:0:1:ffff::2"));
        assert_ne!(key("2001:db8:0:1::1"), key("2001:db8:0:2::1"));
        assert_ne!(key("0.0.0.1"), key("::1"));
    }
}
