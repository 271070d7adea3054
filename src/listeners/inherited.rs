//! Sockets that were inherited from a service manager. They are found by address, or by name
//! (`systemd:<name>`).

use std::io;

use crate::config::INHERITED;
use crate::error::{ClusterError, Result};
use crate::os::activation;
use crate::os::activation::Passed;
use crate::os::address::Address;
use crate::os::listener::Listener;

/// Finds the inherited socket for `wanted`. `Ok(None)`: there is none, it has to be bound. Fails
/// where a name was asked for and there is no such socket, with `OptionInvalid`, which lists the
/// names there are.
pub(super) fn find(wanted: &Address) -> Result<Option<Listener>> {
    match name(wanted) {
        Some(name) => by_name(name).map(Some),
        None => Ok(activation::passed()
            .iter()
            .filter_map(listener)
            .find(|found| found.address().serves(wanted))),
    }
}

/// The name, if that is how a socket is asked for.
fn name(wanted: &Address) -> Option<&str> {
    match wanted {
        Address::Unix(path) => path.to_str()?.strip_prefix(INHERITED),
        Address::Tcp { .. } => None,
    }
}

fn by_name(name: &str) -> Result<Listener> {
    let named = activation::passed().iter().find(|passed| passed.name == name);
    let Some(passed) = named else {
        let names: Vec<_> = activation::passed()
            .iter()
            .map(|passed| format!("'{INHERITED}{}'", passed.name))
            .collect();
        let there = if names.is_empty() {
            "none was passed to this process".into()
        } else {
            names.join(", ")
        };
        return Err(ClusterError::OptionInvalid {
            name: "port".into(),
            expected: format!("a socket that the service manager passed ({there})"),
            got: format!("'{INHERITED}{name}'"),
        });
    };
    inherit(passed)
        .map_err(|source| ClusterError::Listen { address: format!("{INHERITED}{name}"), source })
}

fn inherit(passed: &Passed) -> io::Result<Listener> {
    Listener::inherit(passed.fd.try_clone()?)
}

fn listener(passed: &Passed) -> Option<Listener> {
    let name = &passed.name;
    inherit(passed)
        .inspect_err(|error| tracing::warn!(%error, name, "an inherited descriptor is of no use"))
        .ok()
}
