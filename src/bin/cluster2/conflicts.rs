//! What two apps of one configuration file cannot both have: a directory `pids`, or an address.

use cluster2_rs::config::{Config, Port};

/// Returns what is wrong with the first two apps that have something in common, by their names.
pub(crate) fn first(apps: &[(String, Config)]) -> Option<String> {
    apps.iter().enumerate().find_map(|(index, (name, config))| {
        let (other, what) = apps[..index]
            .iter()
            .find_map(|(other, before)| Some((other, shared(before, config)?)))?;
        Some(format!("apps {other} and {name} both have {what}; give each its own"))
    })
}

fn shared(one: &Config, other: &Config) -> Option<String> {
    if one.pids == other.pids {
        return Some(format!("the directory {} (option 'pids')", one.pids.display()));
    }
    let theirs = addresses(other);
    let (option, _, port) = addresses(one)
        .into_iter()
        .find(|mine| theirs.iter().any(|their| mine.2 == their.2 && overlap(mine.1, their.1)))?;
    let port = match port {
        Port::Tcp(port) => format!("port {port}"),
        Port::Unix(path) => format!("the socket {path}"),
    };
    Some(format!("{port} (option '{option}')"))
}

/// Returns the option, host and port of each address that the master itself opens.
fn addresses(config: &Config) -> Vec<(&'static str, &str, &Port)> {
    let ports = config.ports.iter().map(|port| ("port", config.host.as_str(), port));
    let monitor = config.mon_port.iter().map(|port| ("monPort", config.mon_host.as_str(), port));
    let is_fixed = |port: &Port| *port != Port::Tcp(0) && !port.is_inherited();
    ports.chain(monitor).filter(|(_, _, port)| is_fixed(port)).collect()
}

/// Whether a port on one host can be a port on the other one. Two different addresses
/// overlap only where one stands for all hosts.
fn overlap(one: &str, other: &str) -> bool {
    one == other || [one, other].iter().any(|host| ["::", "0.0.0.0"].contains(host))
}
