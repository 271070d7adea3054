//! Addresses to listen on.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use super::socket_file::path;
use crate::error::{ClusterError, Result};

/// An address to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A TCP port. Without a host: all addresses, also of IPv6 where the machine has it, as Node
    /// does.
    Tcp {
        /// The address of an interface.
        host: Option<IpAddr>,
        /// 0: the kernel chooses.
        port: u16,
        /// Whether `::` leaves out IPv4.
        v6_only: bool,
    },
    /// A unix socket. A path that begins with NUL is a name without a file (*abstract*).
    Unix(PathBuf),
}

impl Address {
    /// Whether a socket that listens here is what `wanted` asks for. All ways to ask for all
    /// addresses mean the same socket, because no second one could be bound beside it.
    pub fn serves(&self, wanted: &Self) -> bool {
        match (self, wanted) {
            (
                Self::Tcp { host: Some(host), port, v6_only },
                Self::Tcp { host: asked, port: asked_port, v6_only: asked_v6 },
            ) => {
                let is_all = |ip: IpAddr, v6_only: bool| ip.is_unspecified() && !v6_only;
                let for_all =
                    is_all(*host, *v6_only) && asked.is_none_or(|asked| is_all(asked, *asked_v6));
                port == asked_port && (for_all || *asked == Some(*host) && v6_only == asked_v6)
            }
            (Self::Unix(path), Self::Unix(asked)) => path == asked,
            _ => false,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host: Some(host), port, .. } => SocketAddr::new(*host, *port).fmt(f),
            Self::Tcp { host: None, port, .. } => write!(f, "[::]:{port}"),
            Self::Unix(path) => path::show(path).fmt(f),
        }
    }
}

/// Resolves the `host` option; returns the first address, as Node's `listen` uses it.
pub fn resolve(host: &str) -> Result<IpAddr> {
    let fail = |source| ClusterError::HostUnknown { host: host.into(), source };
    let mut found = (host, 0).to_socket_addrs().map_err(fail)?;
    found.next().map(|address| address.ip()).ok_or_else(|| fail(io::ErrorKind::NotFound.into()))
}
