//! Networks, as `ecv.allow` lists them.

use std::net::IpAddr;

use ipnet::IpNet;

/// Reads an address or a CIDR.
pub(crate) fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}
