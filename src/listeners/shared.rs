//! The sockets that workers share; see the dispatcher's `guard`.

use std::os::fd::OwnedFd;

use crate::clock::Millis;
use crate::connection::Connection;
use crate::listeners::entry::Entry;
use crate::listeners::set::ListenerSet;
use crate::listeners::watch::Finding;
use crate::os::accept_queue;
use crate::os::address::Address;
use crate::os::admission_row::MAX_SHARED;
use crate::protocol::{ListenerId, SharedSocket};

/// The state of an accept queue.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueueState {
    /// The socket's bit on the scoreboard.
    pub(crate) bit: u32,
    /// How many connections wait.
    pub(crate) waiting: u64,
    /// How many can wait; 0 if that is not known.
    pub(crate) room: u64,
    /// Whether epoll will report the next one that comes.
    pub(crate) is_heard: bool,
    /// Whether another master accepts from it too.
    pub(crate) is_lent: bool,
    /// Until when descriptors are lacking, if they are.
    pub(crate) paused_until: Option<Millis>,
}

impl ListenerSet {
    /// Lets workers accept by themselves from TCP sockets.
    pub fn with_sharing(self) -> Self {
        Self { shares: true, ..self }
    }

    /// Whether workers accept by themselves from TCP sockets.
    pub(crate) fn are_shared(&self) -> bool {
        self.shares
    }

    /// Returns a descriptor of a listener's socket for a worker. `None`: it is not shared, or there
    /// can be no more, and the dispatcher accepts for that worker. `turn` as in [`SharedSocket`].
    pub(crate) fn share(
        &mut self,
        listener: ListenerId,
        turn: Option<Millis>,
    ) -> Option<(SharedSocket, OwnedFd)> {
        let shares = self.shares && self.is_admitting();
        let used = self.entries.values().filter_map(|entry| entry.bit);
        let used = used.fold(0u64, |bits, bit| bits | 1 << bit);
        let entry = self
            .entries
            .get_mut(&listener)
            .filter(|entry| shares && matches!(entry.listener.address(), Address::Tcp { .. }))?;
        let bit = entry.bit.unwrap_or(used.trailing_ones());
        if bit >= MAX_SHARED {
            return None;
        }
        let socket = entry.listener.share().inspect_err(|error| {
            tracing::warn!(%error, "a worker cannot share a socket; the master accepts for it");
        });
        let socket = socket.ok()?;
        entry.bit = Some(bit);
        let inherited = entry.listener.is_of_service_manager();
        Some((SharedSocket { bit, inherited, turn }, socket))
    }

    /// Checks the guarded sockets for which it is time. `progress` returns how many connections the
    /// workers of a listener ever had.
    pub(crate) fn take_due(
        &mut self,
        now: Millis,
        progress: impl Fn(ListenerId) -> u64,
    ) -> Vec<(ListenerId, Finding)> {
        let check = |(id, entry): (&ListenerId, &mut Entry)| {
            let waits = || entry.listener.has_waiting();
            Some((*id, entry.watch.take_due(now, || progress(*id), waits)?))
        };
        self.entries.iter_mut().filter_map(check).collect()
    }

    /// Returns the state of the accept queue of a guarded socket. `None`: it is not for this master
    /// to do anything with it now.
    pub(crate) fn queue(&self, listener: ListenerId) -> Option<QueueState> {
        let entry = self.entries.get(&listener)?;
        let is_left_alone = !self.is_admitting() || entry.is_left || entry.closes_at.is_some();
        let [waiting, room] = accept_queue::lengths(&entry.listener);
        (!is_left_alone).then_some(QueueState {
            bit: entry.bit?,
            waiting,
            room,
            is_heard: entry.watch.is_armed(),
            is_lent: self.lent,
            paused_until: entry.paused_until,
        })
    }

    /// Accepts the next connection of a guarded socket.
    pub(crate) fn accept_guarded(
        &mut self,
        listener: ListenerId,
        now: Millis,
    ) -> Option<Connection> {
        self.entries.get_mut(&listener)?.accept(now)
    }
}
