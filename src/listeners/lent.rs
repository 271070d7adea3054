//! Sockets that two masters have while one takes over from the other.
//!
//! What always holds: nothing is done to such a socket that the other master would notice: as with
//! those of a service manager, it is only accepted from, or left alone. The path of a unix socket
//! belongs to the master that has the socket alone. As long as a worker of the heir may come that
//! asks for a socket, the heir has it open, so that no client is refused if the former master dies.
//!
//! A script that removes the file of its unix socket does so in a process of either master, which
//! the other one does not see. So the master that leads looks whether it is there. The socket that
//! it then binds is its own alone.

use std::io;
use std::os::fd::AsFd;

use crate::clock::Millis;
use crate::listeners::entry::Entry;
use crate::listeners::legacy::LegacySocket;
use crate::listeners::set::ListenerSet;
use crate::os::address::Address;
use crate::os::listener::Listener;
use crate::os::socket_file::FileState;
use crate::protocol::{ListenerId, Wanted};

/// How often the files of unix sockets are looked at, where another process may remove them
/// unnoticed, milliseconds.
const LOOK: Millis = 20;
/// As `LOOK`, for `BEGINNING` after this master has taken over: the former one then removes the
/// file that it had to make meanwhile.
const LOOK_AT_FIRST: Millis = 1;
const BEGINNING: Millis = 200;

/// The heir's part.
impl ListenerSet {
    /// Takes these sockets when they are asked for, instead of binding others.
    pub fn with_legacy(self, legacy: Vec<LegacySocket>) -> Self {
        let served_after = legacy.iter().map(|socket| socket.served_after).max().unwrap_or(0);
        Self { legacy, served_after, lent: true, is_led: true, ..self }
    }

    /// Enters the former master's socket for `wanted`, if there is one: the one that was asked for
    /// by the same words, or one that listens on `address`.
    pub(super) fn adopt(
        &mut self,
        wanted: &Wanted,
        address: &Address,
        backlog: i32,
    ) -> io::Result<Option<ListenerId>> {
        let same = |legacy: &LegacySocket| {
            Wanted { backlog: legacy.wanted.backlog, ..wanted.clone() } == legacy.wanted
        };
        let serves =
            |legacy: &LegacySocket| legacy.address().is_some_and(|found| found.serves(address));
        let place = self.legacy.iter().position(same);
        let Some(place) = place.or_else(|| self.legacy.iter().position(serves)) else {
            return Ok(None);
        };
        let LegacySocket { key, inherited, socket, .. } = self.legacy.swap_remove(place);
        let listener = Listener::adopt(socket, inherited, backlog)?;
        tracing::info!(address = %listener.address(), "listening on a socket of the former master");
        let id = self.add(wanted.clone(), listener);
        self.entries.entry(id).and_modify(|entry| entry.key = Some(key));
        Ok(Some(id))
    }

    /// The former master's listeners, while that one leads: all of them are served there. `None`:
    /// there are some that no worker has asked for here.
    pub(crate) fn led(&self) -> Option<Vec<ListenerId>> {
        if !self.is_led {
            return Some(Vec::new());
        }
        let led = || self.keys().into_iter().map(|(listener, _)| listener).collect();
        self.legacy.is_empty().then(led)
    }

    /// How long the workers of the former master took to serve all after they served the first
    /// one, milliseconds. 0 without one.
    pub(crate) fn led_served_after(&self) -> Millis {
        self.served_after
    }

    /// The listeners that came from a former master, each with its number there.
    pub(crate) fn keys(&self) -> Vec<(ListenerId, ListenerId)> {
        let keys = self.entries.iter().filter(|(_, entry)| entry.closes_at.is_none());
        keys.filter_map(|(id, entry)| Some((*id, entry.key?))).collect()
    }

    /// Returns the listener that has this number at the former master.
    pub(crate) fn by_key(&self, key: ListenerId) -> Option<ListenerId> {
        self.entries.iter().find(|(_, entry)| entry.key == Some(key)).map(|(id, _)| *id)
    }

    /// Whether it is for this master to accept what its workers leave in the queue of a guarded
    /// socket. While the former master leads, that one does: what this one had accepted would be
    /// lost if it failed before it has taken over.
    pub(crate) fn may_accept_guarded(&self, listener: ListenerId) -> bool {
        let is_shared = |entry: &Entry| entry.key.is_some();
        !(self.lent && self.is_led && self.entries.get(&listener).is_some_and(is_shared))
    }

    /// This master has taken over. `alone`: the sockets are this one's alone. Until then the former
    /// master may go on with them.
    pub(crate) fn own(&mut self, alone: bool, now: Millis) {
        self.led_since = now;
        if std::mem::take(&mut self.is_led) {
            // What no worker here serves, the former master closes, and so for both of them.
            self.entries.retain(|_, entry| {
                entry.key.is_none()
                    || entry.closes_at.is_none()
                    || entry.listener.is_of_service_manager()
            });
        }
        if alone {
            self.take_back();
        }
    }

    /// Closes the former master's sockets that no worker has asked for, if this master has taken
    /// over. Must be called once none will ask.
    pub(crate) fn close_legacy(&mut self) {
        if !self.is_led {
            self.legacy.clear();
        }
    }

    /// From now on no other master has the sockets. What that one did to them is undone, and what
    /// this one would have done meanwhile is done.
    fn take_back(&mut self) {
        self.lent = false;
        let admits = self.is_admitting();
        for entry in self.entries.values_mut() {
            entry.is_left = false;
            entry.listener.set_lent(false);
            entry.listener.check_file();
            if !admits || entry.is_closing() {
                entry.refuse_new();
            }
        }
        self.bind_all_lost(|file| file != FileState::Ours);
    }
}

/// The files of unix sockets.
impl ListenerSet {
    /// Binds again what was removed, if it is time. `leaving`: whether a worker is about to end,
    /// whose script may remove the file long before.
    pub(crate) fn look_at_files(&mut self, leaving: bool, now: Millis) {
        if self.next_look(leaving).is_some_and(|at| at <= now) {
            self.looked_at = now;
            self.bind_removed();
        }
    }

    /// When to look again. `None`: nobody removes a file unnoticed.
    pub(crate) fn next_look(&self, leaving: bool) -> Option<Millis> {
        let is_due = if self.lent { !self.is_led } else { leaving };
        let began = self.looked_at < self.led_since + BEGINNING;
        is_due.then_some(self.looked_at + if began { LOOK_AT_FIRST } else { LOOK })
    }

    /// Whether there are sockets with files.
    pub(crate) fn has_files(&self) -> bool {
        self.entries.values().any(|entry| entry.listener.has_file())
    }
}

/// The predecessor's part.
impl ListenerSet {
    /// Sets whether another master has all sockets too.
    pub(crate) fn lend(&mut self, lent: bool) {
        if !lent {
            return self.take_back();
        }
        self.lent = true;
        self.entries.values_mut().for_each(|entry| entry.listener.set_lent(true));
    }

    /// Returns copies of all sockets that admit. `served_after`: see [`LegacySocket`].
    pub(crate) fn copies(&self, served_after: Millis) -> io::Result<Vec<LegacySocket>> {
        let open = self.entries.iter().filter(|(_, entry)| entry.closes_at.is_none());
        open.map(|(id, entry)| {
            Ok(LegacySocket {
                key: *id,
                wanted: entry.wanted.clone(),
                inherited: entry.listener.is_of_service_manager(),
                served_after,
                socket: entry.listener.as_fd().try_clone_to_owned()?,
            })
        })
        .collect()
    }

    /// From now on the other master alone accepts from `listener`. A socket that this master has
    /// bound since it gave copies away lets nobody new in; its queue is among the `take_rescued`.
    pub(crate) fn leave(&mut self, listener: ListenerId) {
        let Some(entry) = self.entries.get_mut(&listener) else { return };
        entry.is_left = true;
        entry.refuse_new();
        self.rescued.extend(entry.empty(0));
    }

    /// The other master has no part in `listener`.
    pub(crate) fn keep(&mut self, listener: ListenerId) {
        if let Some(entry) = self.entries.get_mut(&listener) {
            entry.listener.set_lent(false);
        }
    }
}
