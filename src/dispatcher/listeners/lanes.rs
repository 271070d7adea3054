//! The sockets of lanes; see the dispatcher's `lanes`.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use crate::clock::Millis;
use crate::dispatcher::listeners::entry::{Entry, backlog};
use crate::dispatcher::listeners::set::ListenerSet;
use crate::dispatcher::listeners::watch::LaneProgress;
use crate::protocol::ListenerId;

impl ListenerSet {
    /// Gives each slot a lane of its own of each TCP listener.
    pub fn with_lanes(self) -> Self {
        Self { lanes: true, ..self }
    }

    /// Whether there may be lanes.
    pub(in crate::dispatcher) fn has_lanes(&self) -> bool {
        self.lanes
    }

    /// Returns a descriptor of the lane of a listener that belongs to `slot`, which is made where
    /// there is none yet. `None`: the listener has no lanes, or there can be no more, and the
    /// dispatcher accepts for that slot too.
    pub(in crate::dispatcher) fn lane(
        &mut self,
        listener: ListenerId,
        slot: u32,
    ) -> Option<OwnedFd> {
        if !self.is_admitting() {
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
        let lane = match found {
            Some(entry) => {
                entry.slot = Some(slot);
                entry.listener.as_fd().try_clone_to_owned()
            }
            None => self.further_lane(listener, slot)?,
        };
        lane.inspect_err(|error| {
            tracing::warn!(%error, slot, "no lane; its worker gets connections from the master");
        })
        .ok()
    }

    /// `None`: the listener has no lanes.
    fn further_lane(&mut self, listener: ListenerId, slot: u32) -> Option<io::Result<OwnedFd>> {
        let first = self.entries.get(&listener).filter(|first| first.listener.is_lane())?;
        let wanted = first.wanted.clone();
        let further = first.listener.bind_further_lane(backlog(&wanted));
        Some(further.and_then(|further| {
            let theirs = further.as_fd().try_clone_to_owned()?;
            self.add(listener, Some(slot), wanted, further);
            Ok(theirs)
        }))
    }

    /// Takes the lanes that it is time to check, on which somebody waits and whose worker made no
    /// progress: `is_idle` says so.
    pub(in crate::dispatcher) fn take_unaccepted(
        &mut self,
        now: Millis,
        is_idle: impl Fn(&LaneProgress) -> bool,
    ) -> Vec<(ListenerId, LaneProgress)> {
        let due =
            self.entries.values_mut().filter_map(|entry| Some((entry.watch.take_due(now)?, entry)));
        let late = due.filter(|(before, entry)| is_idle(before) && entry.listener.has_waiting());
        late.map(|(before, entry)| (entry.of, before)).collect()
    }
}
