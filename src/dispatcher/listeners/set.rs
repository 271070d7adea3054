//! The door: all listening sockets of the cluster, each bound once, whoever asks for it.
//!
//! Runs on the dispatcher's thread (but for the first binds, before there is one). Shutting the door is done in an order
//! that resets nobody: first nobody new gets in, then the queues are emptied, and after a grace for handshakes that were
//! under way the sockets are closed. A socket that was inherited is only left alone, with whoever is in its queue: somebody else
//! will accept them.
//!
//! A listener is known by the number of its first socket. With lanes (see there) it has one socket for each slot that asked.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::io::Errno;

use crate::clock::Millis;
use crate::dispatcher::event_loop::TAKE_WITHIN;
use crate::dispatcher::link::state::Connection;
use crate::dispatcher::listeners::entry::{Entry, address, backlog, bound_address, show};
use crate::dispatcher::listeners::inherited;
use crate::dispatcher::listeners::watch::{Attention, Progress, Watch};
use crate::error::{ClusterError, Result};
use crate::os::address::Address;
use crate::os::listener::Listener;
use crate::os::socket_file::FileState;
use crate::protocol::EndpointAddress;
use crate::protocol::{BoundAddress, ListenerId, Wanted};

/// Connections accepted from one socket in one turn, so that none of them starves the others.
pub const BATCH: usize = 64;

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
pub struct ListenerSet {
    entries: BTreeMap<ListenerId, Entry>,
    last: ListenerId,
    state: State,
    /// Whether who asks for all addresses gets what was pinned on that port, whatever its address is.
    loose: bool,
    /// Whether each slot gets a lane of its own of each TCP listener.
    lanes: bool,
    /// Connections of listeners that had to go, for those that took their place.
    rescued: Vec<Connection>,
}

impl ListenerSet {
    /// For scripts that know nothing of what was pinned: who asks for all addresses gets that.
    pub fn loose() -> Self {
        Self { loose: true, ..Self::default() }
    }

    /// Each slot gets a lane of its own of each TCP listener.
    pub fn with_lanes(self) -> Self {
        Self { lanes: true, ..self }
    }

    /// Whether there may be lanes.
    pub fn has_lanes(&self) -> bool {
        self.lanes
    }

    /// Binds one of the app's own addresses, before there is any worker.
    pub fn pin(&mut self, wanted: &Wanted) -> Result<()> {
        let address =
            address(wanted).map_err(|source| ClusterError::from_listen(show(wanted), source))?;
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
        let anywhere =
            wanted.address.as_deref().is_none_or(|host| matches!(host, "0.0.0.0" | "::"));
        let loose = self.loose;
        let is_meant = |entry: &Entry| {
            loose
                && entry.pinned
                && anywhere
                && wanted.port.is_some()
                && entry.wanted.port == wanted.port
        };
        // The first socket of a listener is found first, and its number is the listener's.
        let is_same = |entry: &Entry| {
            Wanted { backlog: entry.wanted.backlog, ..wanted.clone() } == entry.wanted
        };
        let same = |entry: &Entry| is_same(entry) || is_meant(entry);
        self.close_retired(|entry| {
            same(entry) || wanted.port.is_some() && entry.port() == wanted.port
        });
        let known = self.entries.iter_mut().find(|(_, entry)| same(entry)).map(|(id, entry)| {
            // One that was inherited is only taken up again.
            entry.closes_at = None;
            *id
        });
        let opened = match known {
            Some(id) => self.bind_lost(id, |file| file != FileState::Ours).map(|()| id),
            None => self.open_instead(wanted, claimed),
        };
        opened.map_err(|error| error.raw_os_error().unwrap_or(Errno::INVAL.raw_os_error()))
    }

    /// Binds again the unix sockets whose file somebody has removed: a worker at its end, as a server does that is alone.
    pub fn bind_removed(&mut self) {
        for listener in self.listeners() {
            if let Err(error) = self.bind_lost(listener, |file| file == FileState::Gone) {
                let address =
                    self.entries.get(&listener).map(|entry| entry.listener.address().to_string());
                tracing::warn!(%error, address, "the file of a unix socket is gone, and another one cannot be made");
            }
        }
    }

    /// Puts another socket into the place of one whose file is lost; who is in its queue is among the `take_rescued`.
    fn bind_lost(&mut self, id: ListenerId, is_lost: impl Fn(FileState) -> bool) -> io::Result<()> {
        if self.is_shut() {
            return Ok(());
        }
        let Some(entry) =
            self.entries.get_mut(&id).filter(|entry| entry.listener.file().is_some_and(is_lost))
        else {
            return Ok(());
        };
        let again = entry.listener.bind_again(backlog(&entry.wanted))?;
        tracing::info!(address = %again.address(), "bound again, since its file was removed");
        self.rescued.extend(entry.empty(0));
        // Where that fails, it was not watched any more.
        let _ = entry.watch.end(&entry.listener);
        entry.listener = again;
        Ok(())
    }

    /// Looks which rights the files of unix sockets have: workers give them.
    pub fn see_rights(&mut self) {
        self.entries.values_mut().for_each(|entry| entry.listener.refresh_mode());
    }

    /// What workers are told of a listener: its address on TCP, or its path.
    pub fn place(&self, id: ListenerId) -> (Option<BoundAddress>, Option<String>) {
        match self.entries.get(&id).map(|entry| entry.listener.address()) {
            Some(Address::Unix(path)) => (None, Some(path.to_string_lossy().into())),
            Some(address) => (bound_address(address), None),
            None => (None, None),
        }
    }

    /// Where a listener listens.
    pub fn at(&self, id: ListenerId) -> Option<EndpointAddress> {
        match self.entries.get(&id)?.listener.address() {
            Address::Unix(path) => Some(EndpointAddress::Unix { path: path.clone() }),
            Address::Tcp { host, port, .. } => {
                Some(EndpointAddress::Tcp { address: (*host)?, port: *port })
            }
        }
    }

    fn open_instead(
        &mut self,
        wanted: &Wanted,
        claimed: impl Fn(ListenerId) -> bool,
    ) -> io::Result<ListenerId> {
        let address = address(wanted)?;
        match self.open(wanted, &address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && wanted.port.is_some() => {
                let in_the_way = |(_, entry): &(&ListenerId, &Entry)| {
                    entry.wanted.port == wanted.port
                        && !entry.listener.is_inherited()
                        && !claimed(entry.of)
                };
                let going: Vec<ListenerId> =
                    self.entries.iter().filter(in_the_way).map(|(id, _)| *id).collect();
                if going.is_empty() {
                    return Err(error);
                }
                let mut queued = Vec::new();
                for id in going {
                    if let Some(mut entry) = self.entries.remove(&id) {
                        queued.extend(std::iter::from_fn(|| entry.accept(0)));
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
        let backlog = backlog(wanted);
        let listener = match inherited::find(address).map_err(io::Error::other)? {
            Some(found) => match self.entries.iter().find(|(_, entry)| entry.is(&found)) {
                // Asked for in another way.
                Some((id, _)) => return Ok(*id),
                None => found,
            },
            None if self.lanes => Listener::bind_first_lane(address, backlog)?,
            None => Listener::bind(address, backlog)?,
        };
        tracing::info!(address = %listener.address(), inherited = listener.is_inherited(), "listening");
        Ok(self.add(self.last + 1, None, wanted.clone(), listener))
    }

    fn add(
        &mut self,
        of: ListenerId,
        slot: Option<u32>,
        wanted: Wanted,
        listener: Listener,
    ) -> ListenerId {
        self.last += 1;
        let watch = Watch::new();
        let entry = Entry {
            of,
            slot,
            wanted,
            listener,
            pinned: false,
            watch,
            paused_until: None,
            closes_at: None,
        };
        self.entries.insert(self.last, entry);
        self.last
    }

    /// A descriptor of the lane of a listener that belongs to `slot`; made where there is none yet. `None`: it has no lanes, or there
    /// can be no more, and the dispatcher accepts for that slot too.
    pub fn lane(&mut self, listener: ListenerId, slot: u32) -> Option<OwnedFd> {
        if self.is_shut() {
            return None;
        }
        let is_own = |entry: &&mut Entry| entry.of == listener && entry.slot == Some(slot);
        let is_free = |entry: &&mut Entry| {
            entry.of == listener && entry.slot.is_none() && entry.listener.is_lane()
        };
        let found = match self.entries.values_mut().find(is_own) {
            Some(own) => Some(own),
            None => self.entries.values_mut().find(is_free),
        };
        let lane = if let Some(entry) = found {
            entry.slot = Some(slot);
            entry.listener.as_fd().try_clone_to_owned()
        } else {
            let first = self.entries.get(&listener).filter(|first| first.listener.is_lane())?;
            let wanted = first.wanted.clone();
            first.listener.bind_further_lane(backlog(&wanted)).and_then(|further| {
                let theirs = further.as_fd().try_clone_to_owned()?;
                self.add(listener, Some(slot), wanted, further);
                Ok(theirs)
            })
        };
        lane.inspect_err(|error| tracing::warn!(%error, slot, "no lane; its worker gets connections from the master"))
            .ok()
    }

    /// The lanes that it is time to look at, on which somebody waits and whose worker made no progress: `is_idle` says so.
    pub fn take_unaccepted(
        &mut self,
        now: Millis,
        is_idle: impl Fn(&Progress) -> bool,
    ) -> Vec<(ListenerId, Progress)> {
        let due =
            self.entries.values_mut().filter_map(|entry| Some((entry.watch.take_due(now)?, entry)));
        let late = due.filter(|(before, entry)| is_idle(before) && entry.listener.has_waiting());
        late.map(|(before, entry)| (entry.of, before)).collect()
    }

    /// The listeners there are except those that are being closed.
    pub fn listeners(&self) -> Vec<ListenerId> {
        let open =
            self.entries.iter().filter(|(id, entry)| **id == entry.of && entry.closes_at.is_none());
        open.map(|(id, _)| *id).collect()
    }

    /// Whether connections of it may come.
    pub fn knows(&self, listener: ListenerId) -> bool {
        self.entries.get(&listener).is_some_and(|entry| entry.closes_at.is_none())
    }

    /// Whether it was bound before any worker asked for it.
    pub fn is_pinned(&self, listener: ListenerId) -> bool {
        self.entries.get(&listener).is_some_and(|entry| entry.pinned)
    }

    /// Closes a listener. An inherited one stays, unwatched, until somebody asks for it: closing our descriptor of one would not end its
    /// watch, since others have it too.
    pub fn release(&mut self, listener: ListenerId) {
        self.entries.retain(|_, entry| {
            if entry.of == listener {
                entry.closes_at = Some(0);
            }
            entry.of != listener || entry.listener.is_inherited()
        });
    }

    /// Lets nobody new in by one listener, and returns who was in its queue. The sockets stay until `grace_ends`.
    pub fn retire(&mut self, listener: ListenerId, grace_ends: Millis) -> Vec<Connection> {
        let mut queued = Vec::new();
        for entry in self.entries.values_mut().filter(|entry| entry.of == listener) {
            entry.closes_at = Some(grace_ends);
            refuse_new(entry);
            queued.extend(entry.empty(0));
        }
        queued
    }

    /// Closes retired listeners before their grace is over, where somebody is about to take their place; see `take_rescued`.
    fn close_retired(&mut self, is_in_the_way: impl Fn(&Entry) -> bool) {
        let rescued = self.close_where(0, |entry| entry.is_closing() && is_in_the_way(entry));
        self.rescued.extend(rescued);
    }

    /// Closes sockets, and returns who was in their queues.
    fn close_where(&mut self, now: Millis, is_meant: impl Fn(&Entry) -> bool) -> Vec<Connection> {
        let mut queued = Vec::new();
        self.entries.retain(|_, entry| {
            let stays = !is_meant(entry);
            if !stays {
                queued.extend(entry.empty(now));
            }
            stays
        });
        queued
    }

    /// The next connection of one socket; none where a worker accepts, who is looked at later.
    pub fn accept(&mut self, id: ListenerId, now: Millis) -> Option<Connection> {
        let shut = self.is_shut();
        let entry =
            self.entries.get_mut(&id).filter(|entry| !(shut && entry.listener.is_inherited()))?;
        if entry.watch.came(now + TAKE_WITHIN) { entry.accept(now) } else { None }
    }

    /// Lets nobody new in, and returns who was in the queues. The sockets stay until `grace_ends`.
    pub fn shut(&mut self, grace_ends: Millis) -> Vec<Connection> {
        if self.is_shut() {
            return Vec::new();
        }
        self.state = State::Closing { until: grace_ends };
        self.entries.values().for_each(refuse_new);
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
            State::Open => self.close_where(now, |entry| {
                entry.is_closing() && entry.closes_at.is_some_and(|at| at <= now)
            }),
            _ => Vec::new(),
        }
    }

    fn empty_queues(&mut self, now: Millis) -> Vec<Connection> {
        self.entries.values_mut().flat_map(|entry| entry.empty(now)).collect()
    }

    /// Whether nobody new gets in.
    pub fn is_shut(&self) -> bool {
        !matches!(self.state, State::Open)
    }

    /// Whether it, or a listener, is shut, but connections may still come out of the queues.
    pub fn is_closing(&self) -> bool {
        matches!(self.state, State::Closing { .. }) || self.entries.values().any(Entry::is_closing)
    }

    /// When `close_after_grace`, a paused listener or a lane has something to do.
    pub fn next_wake(&self) -> Option<Millis> {
        match self.state {
            State::Closing { until } => Some(until),
            _ => {
                let closes_at = |entry: &Entry| entry.closes_at.filter(|_| entry.is_closing());
                let times =
                    |entry: &Entry| [entry.paused_until, entry.watch.due(), closes_at(entry)];
                self.entries.values().flat_map(times).flatten().min()
            }
        }
    }

    /// Has `epoll` watch each socket as is `wanted` for its listener and slot; the token is `base` + number.
    pub fn watch(
        &mut self,
        epoll: &Arc<OwnedFd>,
        base: u64,
        now: Millis,
        wanted: impl Fn(ListenerId, Option<u32>) -> Attention,
    ) {
        let shut = self.is_shut();
        for (id, entry) in &mut self.entries {
            entry.paused_until = entry.paused_until.filter(|until| *until > now);
            let left = shut && entry.listener.is_inherited();
            let idle = left || entry.paused_until.is_some() || entry.closes_at.is_some();
            let attention = if idle { Attention::Off } else { wanted(entry.of, entry.slot) };
            if let Err(error) =
                entry.watch.set(&entry.listener, attention, epoll, base | u64::from(*id))
            {
                tracing::error!(%error, address = %entry.listener.address(), "cannot watch a listener");
            }
        }
    }
}

fn refuse_new(entry: &Entry) {
    if let Err(error) = entry.listener.refuse_new() {
        tracing::warn!(%error, address = %entry.listener.address(), "cannot refuse new connections before closing");
    }
}
