//! The set of listening sockets: what there is, and accepting.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::event::epoll::EventData;

use crate::clock::Millis;
use crate::connection::Connection;
use crate::listeners::entry::{Entry, bound_address};
use crate::listeners::legacy::LegacySocket;
use crate::listeners::watch::Interest;
use crate::os::address::Address;
use crate::protocol::{BoundAddress, EndpointAddress, ListenerId};

/// Whether new clients get in.
#[derive(Debug, Default)]
pub(super) enum Admission {
    #[default]
    Open,
    Closing {
        until: Millis,
    },
    Closed,
}

/// The listening sockets of the cluster.
#[derive(Debug, Default)]
pub struct ListenerSet {
    pub(super) entries: BTreeMap<ListenerId, Entry>,
    pub(super) last: ListenerId,
    pub(super) admission: Admission,
    /// Whether a worker that asks for all addresses gets what was pinned on that port, whatever its
    /// address is.
    pub(super) loose: bool,
    /// Whether workers accept by themselves from TCP sockets.
    pub(super) shares: bool,
    /// Sockets of a former master that nobody has asked for yet.
    pub(super) legacy: Vec<LegacySocket>,
    /// How long the former master's workers took to serve all.
    pub(super) served_after: Millis,
    /// Whether the former master has not handed over yet: it leads, and such sockets are kept for
    /// it.
    pub(super) is_led: bool,
    /// Whether another master has all sockets too.
    pub(super) lent: bool,
    /// Connections of listeners that had to go, for those that took their place.
    pub(super) rescued: Vec<Connection>,
    /// When this master took over.
    pub(super) led_since: Millis,
    /// When the files of unix sockets were last looked at.
    pub(super) looked_at: Millis,
}

impl ListenerSet {
    /// A set for scripts that know nothing of what was pinned: a worker that asks for all addresses
    /// of a port gets what was pinned there.
    pub fn loose() -> Self {
        Self { loose: true, ..Self::default() }
    }

    /// The answer to a worker that asked for a listener: its address on TCP, or its path.
    pub fn address(&self, id: ListenerId) -> (Option<BoundAddress>, Option<String>) {
        match self.entries.get(&id).map(|entry| entry.listener.address()) {
            Some(Address::Unix(path)) => (None, Some(path.to_string_lossy().into())),
            Some(address) => (bound_address(address), None),
            None => (None, None),
        }
    }

    /// Where a listener listens.
    pub(crate) fn endpoint(&self, id: ListenerId) -> Option<EndpointAddress> {
        match self.entries.get(&id)?.listener.address() {
            Address::Unix(path) => Some(EndpointAddress::Unix { path: path.clone() }),
            Address::Tcp { host, port, .. } => {
                Some(EndpointAddress::Tcp { address: (*host)?, port: *port })
            }
        }
    }

    /// The listeners that were bound before any worker asked for them.
    pub(crate) fn pinned(&self) -> impl Iterator<Item = ListenerId> {
        self.entries.iter().filter(|(_, entry)| entry.pinned).map(|(id, _)| *id)
    }

    /// Whether it was bound before any worker asked for it.
    pub(crate) fn is_pinned(&self, listener: ListenerId) -> bool {
        self.entries.get(&listener).is_some_and(|entry| entry.pinned)
    }

    /// The listeners except those that are being closed.
    pub(crate) fn open(&self) -> Vec<ListenerId> {
        let open = self.entries.iter().filter(|(_, entry)| entry.closes_at.is_none());
        open.map(|(id, _)| *id).collect()
    }

    /// Whether connections of it may come.
    pub(crate) fn is_open(&self, listener: ListenerId) -> bool {
        self.entries.get(&listener).is_some_and(|entry| entry.closes_at.is_none())
    }

    /// Records the modes of the files of unix sockets: workers set them. Before this master has
    /// taken over, a file that a worker of it was told of may be the other one's.
    pub(crate) fn refresh_modes(&mut self) {
        let or_other = self.lent && self.is_led;
        self.entries.values_mut().for_each(|entry| entry.listener.refresh_mode(or_other));
    }

    /// Accepts the next connection of one socket. Returns `None` where workers accept: that one is
    /// checked later.
    pub(crate) fn accept(&mut self, id: ListenerId, now: Millis) -> Option<Connection> {
        let admits = self.is_admitting();
        let entry =
            self.entries.get_mut(&id).filter(|entry| admits || !entry.listener.is_inherited())?;
        if entry.watch.came(now) { entry.accept(now) } else { None }
    }

    /// When `close_after_grace`, a paused listener or a guarded one has something to do.
    pub(crate) fn next_wake(&self) -> Option<Millis> {
        if let Admission::Closing { until } = self.admission {
            return Some(until);
        }
        let closes_at = |entry: &Entry| entry.closes_at.filter(|_| entry.is_closing());
        let times = |entry: &Entry| [entry.paused_until, entry.watch.due(), closes_at(entry)];
        self.entries.values().flat_map(times).flatten().min()
    }

    /// Has `epoll` watch each socket, by the `interest` in it. `token` returns what epoll then
    /// reports, `progress` how many connections the workers of a listener ever had.
    pub(crate) fn watch(
        &mut self,
        epoll: &Arc<OwnedFd>,
        now: Millis,
        token: impl Fn(ListenerId) -> EventData,
        interest: impl Fn(ListenerId) -> Interest,
        progress: impl Fn(ListenerId) -> u64,
    ) {
        let admits = self.is_admitting();
        for (id, entry) in &mut self.entries {
            entry.paused_until = entry.paused_until.filter(|until| *until > now);
            let is_left_alone = !admits && entry.listener.is_inherited();
            let is_left_alone = is_left_alone || entry.is_left;
            let is_off = is_left_alone || entry.paused_until.is_some() || entry.closes_at.is_some();
            let wanted = if is_off { Interest::Off } else { interest(*id) };
            let token = token(*id);
            if let Err(error) =
                entry.watch.set(&entry.listener, wanted, || progress(*id), epoll, token)
            {
                let address = entry.listener.address();
                tracing::error!(%error, %address, "cannot watch a listener");
            }
        }
    }
}
