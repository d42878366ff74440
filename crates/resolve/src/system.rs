//! How this machine looks names up: `/etc/resolv.conf` and `/etc/hosts`, and whether they have changed.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::MetadataExt;

use hickory_resolver::config::{NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::{ResolverBuilder, TokioResolver};

/// The files that say how.
const FILES: [&str; 2] = ["/etc/resolv.conf", "/etc/hosts"];

/// What tells one content of the files from another, without reading them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamps([Option<Stamp>; FILES.len()]);

/// Device, inode, length, seconds and nanoseconds of the last change.
type Stamp = (u64, u64, u64, i64, i64);

impl Stamps {
    /// Those of right now.
    pub(crate) fn read() -> Self {
        Self(FILES.map(|file| {
            let data = fs::metadata(file).ok()?;
            Some((data.dev(), data.ino(), data.len(), data.mtime(), data.mtime_nsec()))
        }))
    }
}

/// A resolver as the files ask for it. A machine without name servers asks its own, as the C library does (resolv.conf(5)).
pub(crate) fn resolver() -> ResolverBuilder<TokioRuntimeProvider> {
    TokioResolver::builder_tokio().unwrap_or_else(|error| {
        tracing::warn!(%error, "no name servers in /etc/resolv.conf, asking 127.0.0.1");
        let own = NameServerConfig::udp_and_tcp(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![own]);
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        *builder.options_mut() = ResolverOpts::default();
        builder
    })
}
