//! The door: all listening sockets of the cluster, each bound once, whoever asks for it.
//!
//! Runs on the dispatcher's thread (but for the first binds, before there is one). Shutting the door is done in an order
//! that resets nobody: first nobody new gets in, then the queues are emptied, and after a grace for handshakes that were
//! under way the sockets are closed. A socket that was inherited is only left alone, with whoever is in its queue: somebody else
//! will accept them.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;

use rustix::event::epoll;
use rustix::io::Errno;

use super::inherited;
use super::peer::Connection;
use crate::core::Millis;
use crate::error::{ClusterError, Result};
use crate::ipc::frame::{BoundAddress, ListenerId, Origin, Wanted};
use crate::sys::listener::{Address, Listener};

/// Connections accepted from one socket in one turn, so that none of them starves the others.
pub(super) const BATCH: usize = 64;
/// How long a socket is left alone after `accept` failed for lack of descriptors or memory, milliseconds.
const PAUSE: Millis = 100;
/// What Node passes when the user names no backlog.
const DEFAULT_BACKLOG: u16 = 511;

#[derive(Debug)]
struct Entry {
    wanted: Wanted,
    listener: Listener,
    /// Bound before any worker asked for it.
    pinned: bool,
    watched: bool,
    paused_until: Option<Millis>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Open,
    Closing {
        until: Millis,
    },
    Closed,
}

/// See the module's text.
#[derive(Debug, Default)]
pub struct Door {
    entries: BTreeMap<ListenerId, Entry>,
    last: ListenerId,
    state: State,
    /// Whether who asks for all addresses gets what was pinned on that port, whatever its address is.
    loose: bool,
    /// Connections of listeners that had to go, for those that took their place.
    rescued: Vec<Connection>,
}

impl Door {
    /// For scripts that know nothing of what was pinned: who asks for all addresses gets that.
    pub fn loose() -> Self {
        Self { loose: true, ..Self::default() }
    }

    /// Binds one of the app's own addresses, before there is any worker.
    pub fn pin(&mut self, wanted: &Wanted) -> Result<()> {
        let address = address(wanted).map_err(|source| ClusterError::from_listen(show(wanted), source))?;
        let shown = address.to_string();
        let failed = |error: io::Error| match error.downcast() {
            Ok(own) => own,
            Err(source) => ClusterError::from_listen(shown, source),
        };
        let id = self.open(wanted, &address).map_err(failed)?;
        self.entries.entry(id).and_modify(|entry| entry.pinned = true);
        Ok(())
    }

    /// The listener a worker asks for: the one that exists, or a new one. One that is in its way and that no worker has
    /// `claimed` was pinned for it under another address of the same port, and goes; see `take_rescued`. Fails with the kernel's
    /// error number.
    pub fn bind(
        &mut self,
        wanted: &Wanted,
        claimed: impl Fn(ListenerId) -> bool,
    ) -> std::result::Result<ListenerId, i32> {
        let anywhere = wanted.address.as_deref().is_none_or(|host| matches!(host, "0.0.0.0" | "::"));
        let is_meant = |entry: &Entry| {
            self.loose && entry.pinned && anywhere && wanted.port.is_some() && entry.wanted.port == wanted.port
        };
        let is_same = |entry: &Entry| Wanted { backlog: entry.wanted.backlog, ..wanted.clone() } == entry.wanted;
        let same = |entry: &Entry| is_same(entry) || is_meant(entry);
        let known = self.entries.iter().find(|(_, entry)| same(entry)).map(|(id, _)| *id);
        let opened = known.map_or_else(|| self.open_instead(wanted, claimed), Ok);
        opened.map_err(|error| error.raw_os_error().unwrap_or(Errno::INVAL.raw_os_error()))
    }

    /// What workers are told of a listener: its address on TCP, or its path.
    pub fn place(&self, id: ListenerId) -> (Option<BoundAddress>, Option<String>) {
        match self.entries.get(&id).map(|entry| entry.listener.address()) {
            Some(Address::Unix(path)) => (None, Some(path.to_string_lossy().into())),
            Some(address) => (bound_address(address), None),
            None => (None, None),
        }
    }

    fn open_instead(&mut self, wanted: &Wanted, claimed: impl Fn(ListenerId) -> bool) -> io::Result<ListenerId> {
        let address = address(wanted)?;
        match self.open(wanted, &address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && wanted.port.is_some() => {
                let in_the_way = |(id, entry): &(&ListenerId, &Entry)| {
                    entry.wanted.port == wanted.port && !entry.listener.is_inherited() && !claimed(**id)
                };
                let going: Vec<ListenerId> = self.entries.iter().filter(in_the_way).map(|(id, _)| *id).collect();
                if going.is_empty() {
                    return Err(error);
                }
                let mut queued = Vec::new();
                for id in going {
                    if let Some(mut entry) = self.entries.remove(&id) {
                        queued.extend(std::iter::from_fn(|| entry.accept(id, 0)));
                    }
                }
                let id = self.open(wanted, &address)?;
                queued.iter_mut().for_each(|connection| connection.origin.listener = id);
                self.rescued.extend(queued);
                Ok(id)
            }
            opened => opened,
        }
    }

    /// Who was in the queue of a listener that had to go.
    pub fn take_rescued(&mut self) -> Vec<Connection> {
        std::mem::take(&mut self.rescued)
    }

    /// The listeners that were bound before any worker asked for them.
    pub fn pinned(&self) -> impl Iterator<Item = ListenerId> {
        self.entries.iter().filter(|(_, entry)| entry.pinned).map(|(id, _)| *id)
    }

    fn open(&mut self, wanted: &Wanted, address: &Address) -> io::Result<ListenerId> {
        if self.is_shut() {
            return Err(Errno::CANCELED.into());
        }
        let backlog = if wanted.backlog == 0 { DEFAULT_BACKLOG } else { wanted.backlog };
        let listener = match inherited::find(address).map_err(io::Error::other)? {
            Some(found) => match self.entries.iter().find(|(_, entry)| entry.is(&found)) {
                // Asked for in another way.
                Some((id, _)) => return Ok(*id),
                None => found,
            },
            None => Listener::bind(address, i32::from(backlog))?,
        };
        tracing::info!(address = %listener.address(), inherited = listener.is_inherited(), "listening");
        self.last += 1;
        let entry = Entry { wanted: wanted.clone(), listener, pinned: false, watched: false, paused_until: None };
        self.entries.insert(self.last, entry);
        Ok(self.last)
    }

    /// Closes the listeners that nobody serves. Inherited ones stay, unwatched: closing our descriptor of one would not end its
    /// watch, since others have it too.
    pub fn release_unserved(&mut self, served: impl Fn(ListenerId) -> bool) {
        self.entries.retain(|id, entry| entry.listener.is_inherited() || served(*id));
    }

    /// The next connection of one listener.
    pub fn accept(&mut self, id: ListenerId, now: Millis) -> Option<Connection> {
        let shut = self.is_shut();
        self.entries.get_mut(&id).filter(|entry| !(shut && entry.listener.is_inherited()))?.accept(id, now)
    }

    /// Lets nobody new in, and returns who was in the queues. The sockets stay until `grace_ends`.
    pub fn shut(&mut self, grace_ends: Millis) -> Vec<Connection> {
        if self.is_shut() {
            return Vec::new();
        }
        self.state = State::Closing { until: grace_ends };
        for entry in self.entries.values() {
            if let Err(error) = entry.listener.refuse_new() {
                tracing::warn!(%error, address = %entry.listener.address(), "cannot refuse new connections before closing");
            }
        }
        self.empty_queues(0)
    }

    /// Closes the sockets when the grace is over, and returns who came in meanwhile.
    pub fn close_after_grace(&mut self, now: Millis) -> Vec<Connection> {
        match self.state {
            State::Closing { until } if until <= now => {
                let last = self.empty_queues(now);
                self.entries.clear();
                self.state = State::Closed;
                last
            }
            _ => Vec::new(),
        }
    }

    fn empty_queues(&mut self, now: Millis) -> Vec<Connection> {
        let own = self.entries.iter_mut().filter(|(_, entry)| !entry.listener.is_inherited());
        own.flat_map(|(id, entry)| std::iter::from_fn(|| entry.accept(*id, now))).collect()
    }

    /// Whether nobody new gets in.
    pub fn is_shut(&self) -> bool {
        !matches!(self.state, State::Open)
    }

    /// Whether it is shut, but connections may still come out of the queues.
    pub fn is_closing(&self) -> bool {
        matches!(self.state, State::Closing { .. })
    }

    /// When `close_after_grace` or a paused listener has something to do.
    pub fn next_wake(&self) -> Option<Millis> {
        match self.state {
            State::Closing { until } => Some(until),
            _ => self.entries.values().filter_map(|entry| entry.paused_until).min(),
        }
    }

    /// Makes `epoll` report exactly the listeners that are `wanted`; the token is `base` + number.
    pub fn watch(&mut self, epoll: &OwnedFd, base: u64, now: Millis, wanted: impl Fn(ListenerId) -> bool) {
        let shut = self.is_shut();
        for (id, entry) in &mut self.entries {
            entry.paused_until = entry.paused_until.filter(|until| *until > now);
            let left = shut && entry.listener.is_inherited();
            let watch = !left && entry.paused_until.is_none() && wanted(*id);
            if watch == entry.watched {
                continue;
            }
            let token = epoll::EventData::new_u64(base | u64::from(*id));
            let done = if watch {
                epoll::add(epoll, &entry.listener, token, epoll::EventFlags::IN)
            } else {
                epoll::delete(epoll, &entry.listener)
            };
            match done {
                Ok(()) => entry.watched = watch,
                Err(error) => tracing::error!(%error, address = %entry.listener.address(), "cannot watch a listener"),
            }
        }
    }
}

impl Entry {
    /// Whether this is the same inherited socket.
    fn is(&self, found: &Listener) -> bool {
        self.listener.is_inherited() && self.listener.address() == found.address()
    }

    fn accept(&mut self, listener: ListenerId, now: Millis) -> Option<Connection> {
        loop {
            match self.listener.accept() {
                Ok((fd, client)) => return Some(Connection { fd, origin: Origin { listener, idle: 0 }, client }),
                Err(error) => match error.raw_os_error().map(Errno::from_raw_os_error) {
                    Some(Errno::WOULDBLOCK | Errno::INVAL) => return None,
                    Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                        tracing::warn!(%error, address = %self.listener.address(), "cannot accept; trying again");
                        self.paused_until = Some(now + PAUSE);
                        return None;
                    }
                    // Whatever else accept(2) names is one client's trouble, not the listener's.
                    _ => tracing::debug!(%error, "a connection was gone before it was accepted"),
                },
            }
        }
    }
}

fn address(wanted: &Wanted) -> io::Result<Address> {
    let invalid = || io::Error::from(Errno::INVAL);
    match (wanted.port, &wanted.address) {
        (Some(port), host) => {
            let host: Option<IpAddr> = host.as_deref().map(str::parse).transpose().map_err(|_| invalid())?;
            Ok(Address::Tcp { host, port, v6_only: wanted.v6_only })
        }
        (None, Some(path)) => Ok(Address::Unix(path.into())),
        (None, None) => Err(invalid()),
    }
}

fn show(wanted: &Wanted) -> String {
    let host = wanted.address.as_deref().unwrap_or("*");
    wanted.port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn bound_address(address: &Address) -> Option<BoundAddress> {
    match address {
        Address::Tcp { host: Some(host), port, .. } => Some(BoundAddress {
            address: host.to_string(),
            family: if host.is_ipv4() { "IPv4" } else { "IPv6" }.into(),
            port: *port,
        }),
        _ => None,
    }
}
