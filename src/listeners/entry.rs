//! One listening socket of the set, and how a worker's wish becomes one.

use std::io;
use std::net::IpAddr;

use rustix::io::Errno;

use crate::clock::Millis;
use crate::connection::Connection;
use crate::listeners::watch::Watch;
use crate::os::accept_queue::is_shortage;
use crate::os::address::Address;
use crate::os::listener::Listener;
use crate::protocol::{BoundAddress, ListenerId, Origin, Past, Wanted};

/// How long a socket is left alone after `accept` failed for lack of descriptors or memory,
/// milliseconds.
const PAUSE: Millis = 100;
/// What Node passes when the user names no backlog.
const DEFAULT_BACKLOG: u16 = 511;

/// One listening socket of the set.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: ListenerId,
    pub(super) wanted: Wanted,
    pub(super) listener: Listener,
    /// Bound before any worker asked for it.
    pub(super) pinned: bool,
    pub(super) watch: Watch,
    /// Its bit on the scoreboard, once workers accept from it by themselves.
    pub(super) bit: Option<u32>,
    pub(super) paused_until: Option<Millis>,
    /// Nobody new gets in, and it is closed then. An inherited one stays.
    pub(super) closes_at: Option<Millis>,
    /// Its number at the former master, if it came from one.
    pub(super) key: Option<ListenerId>,
    /// Another master accepts.
    pub(super) is_left: bool,
    /// Its file was lost, and a warning said that there can be no other.
    pub(super) is_lost: bool,
}

impl Entry {
    pub(super) fn new(id: ListenerId, wanted: Wanted, listener: Listener) -> Self {
        Self {
            id,
            wanted,
            listener,
            pinned: false,
            watch: Watch::new(),
            bit: None,
            paused_until: None,
            closes_at: None,
            key: None,
            is_left: false,
            is_lost: false,
        }
    }

    /// Whether this is the same inherited socket.
    pub(super) fn is(&self, found: &Listener) -> bool {
        self.listener.is_of_service_manager() && self.listener.address() == found.address()
    }

    /// Whether it was asked for by the same words, whatever the backlog.
    pub(super) fn is_wanted(&self, wanted: &Wanted) -> bool {
        Wanted { backlog: self.wanted.backlog, ..wanted.clone() } == self.wanted
    }

    /// Whether it was pinned on a port of which all addresses are `wanted`.
    pub(super) fn is_pinned_for_any(&self, wanted: &Wanted) -> bool {
        let any = wanted.address.as_deref().is_none_or(|host| matches!(host, "0.0.0.0" | "::"));
        self.pinned && any && wanted.port.is_some() && self.wanted.port == wanted.port
    }

    /// The TCP port on which it really listens.
    pub(super) fn port(&self) -> Option<u16> {
        if let Address::Tcp { port, .. } = self.listener.address() { Some(*port) } else { None }
    }

    /// Whether it will be closed at `closes_at`.
    pub(super) fn is_closing(&self) -> bool {
        self.closes_at.is_some() && !self.listener.is_inherited()
    }

    pub(super) fn refuse_new(&self) {
        if let Err(error) = self.listener.refuse_new() {
            let address = self.listener.address();
            tracing::warn!(%error, %address, "cannot refuse new connections before closing");
        }
    }

    /// Accepts all connections in its queue, unless it was inherited: others have it too.
    pub(super) fn empty(&mut self, now: Millis) -> Vec<Connection> {
        if self.listener.is_inherited() {
            Vec::new()
        } else {
            std::iter::from_fn(|| self.accept(now)).collect()
        }
    }

    pub(super) fn accept(&mut self, now: Millis) -> Option<Connection> {
        let origin = Origin { listener: self.id, past: Past::default() };
        loop {
            match self.listener.accept() {
                Ok((fd, client)) => return Some(Connection { fd, origin, client, request: None }),
                Err(error) if is_shortage(&error) => {
                    let address = self.listener.address();
                    tracing::warn!(%error, %address, "cannot accept; trying again");
                    self.paused_until = Some(now + PAUSE);
                    return None;
                }
                Err(error) => match error.raw_os_error().map(Errno::from_raw_os_error) {
                    Some(Errno::WOULDBLOCK | Errno::INVAL) => return None,
                    // All else that accept(2) names is one client's trouble, not the listener's.
                    _ => tracing::debug!(%error, "a connection was gone before it was accepted"),
                },
            }
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        // Where that fails, it was not watched any more.
        let _ = self.watch.end(&self.listener);
    }
}

pub(super) fn backlog(wanted: &Wanted) -> i32 {
    i32::from(if wanted.backlog == 0 { DEFAULT_BACKLOG } else { wanted.backlog })
}

pub(super) fn address(wanted: &Wanted) -> io::Result<Address> {
    let invalid = || io::Error::from(Errno::INVAL);
    match (wanted.port, &wanted.address) {
        (Some(port), host) => {
            let host: Option<IpAddr> =
                host.as_deref().map(str::parse).transpose().map_err(|_| invalid())?;
            Ok(Address::Tcp { host, port, v6_only: wanted.v6_only })
        }
        (None, Some(path)) => Ok(Address::Unix(path.into())),
        (None, None) => Err(invalid()),
    }
}

pub(super) fn show(wanted: &Wanted) -> String {
    let host = wanted.address.as_deref().unwrap_or("*");
    wanted.port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

pub(super) fn bound_address(address: &Address) -> Option<BoundAddress> {
    match address {
        Address::Tcp { host: Some(host), port, .. } => Some(BoundAddress {
            address: host.to_string(),
            family: if host.is_ipv4() { "IPv4" } else { "IPv6" }.into(),
            port: *port,
        }),
        _ => None,
    }
}
