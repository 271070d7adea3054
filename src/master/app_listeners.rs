//! The app's listeners, as far as they are known before there is a worker.

use std::net::{IpAddr, Ipv6Addr};

use crate::config::{Balance, Config, INHERITED, Port};
use crate::error::Result;
use crate::listeners::{LegacySocket, ListenerSet};
use crate::os::address::resolve;
use crate::protocol::Wanted;

/// Binds the app's ports. `is_plain`: the script does not know of cluster2. `legacy`: sockets of a
/// former master, which are taken instead.
pub(super) fn bind(
    config: &Config,
    is_plain: bool,
    legacy: Vec<LegacySocket>,
) -> Result<ListenerSet> {
    let mut listeners = if is_plain { ListenerSet::loose() } else { ListenerSet::default() };
    if !legacy.is_empty() {
        listeners = listeners.with_legacy(legacy);
    }
    if config.balance == Balance::LeastConnections {
        listeners = listeners.with_sharing();
    }
    let host = resolve(&config.host)?;
    for (index, port) in config.ports.iter().enumerate() {
        let zeros =
            config.ports[..index].iter().filter(|port| **port == Port::Tcp(0)).count() as u32;
        let mut wanted = wanted(port, host, zeros);
        // As Node's own `listen` without a host: IPv6 and IPv4, or IPv4 alone without IPv6.
        if is_plain && host == IpAddr::from(Ipv6Addr::UNSPECIFIED) && wanted.port.is_some() {
            wanted.address = None;
        }
        listeners.pin(&wanted)?;
    }
    Ok(listeners)
}

/// The listener for one of the app's ports, exactly as a worker's `listen` will ask for it. `nth`
/// of those with port 0.
fn wanted(port: &Port, host: IpAddr, nth: u32) -> Wanted {
    let (address, port) = match port {
        Port::Tcp(port) => (host.to_string(), Some(*port)),
        // An inherited or an abstract socket: not the path of a file.
        Port::Unix(name) if name.starts_with(INHERITED) || name.starts_with('\0') => {
            (name.clone(), None)
        }
        Port::Unix(path) => {
            let absolute = std::path::absolute(path);
            let text = absolute.map_or_else(|_| path.clone(), |path| path.to_string_lossy().into());
            (text, None)
        }
    };
    let index = if port == Some(0) { nth } else { 0 };
    Wanted { address: Some(address), port, v6_only: false, backlog: 0, index }
}
