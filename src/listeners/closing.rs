//! Closing without resetting anybody; see the room's text.

use crate::clock::Millis;
use crate::connection::Connection;
use crate::listeners::entry::Entry;
use crate::listeners::set::{Admission, ListenerSet};
use crate::protocol::ListenerId;

/// How long emptied queues are watched after their listener stopped admitting, for handshakes that
/// were under way, milliseconds.
pub(crate) const CLOSING_GRACE: Millis = 100;

/// All listeners.
impl ListenerSet {
    /// Lets nobody new in, and returns the connections in the queues. The sockets stay for
    /// `CLOSING_GRACE`.
    pub(crate) fn stop_admitting(&mut self, now: Millis) -> Vec<Connection> {
        if !self.is_admitting() {
            return Vec::new();
        }
        self.admission = Admission::Closing { until: now + CLOSING_GRACE };
        self.legacy.clear();
        self.entries.values().for_each(Entry::refuse_new);
        self.empty_queues(0)
    }

    /// Closes sockets whose grace is over, and returns the connections that came in meanwhile.
    pub(crate) fn close_after_grace(&mut self, now: Millis) -> Vec<Connection> {
        match self.admission {
            Admission::Closing { until } if until <= now => {
                let last = self.empty_queues(now);
                self.entries.clear();
                self.admission = Admission::Closed;
                last
            }
            Admission::Open => self.close_where(now, |entry| {
                entry.is_closing() && entry.closes_at.is_some_and(|at| at <= now)
            }),
            Admission::Closing { .. } | Admission::Closed => Vec::new(),
        }
    }

    fn empty_queues(&mut self, now: Millis) -> Vec<Connection> {
        self.entries.values_mut().flat_map(|entry| entry.empty(now)).collect()
    }

    /// Whether new clients get in.
    pub(crate) fn is_admitting(&self) -> bool {
        matches!(self.admission, Admission::Open)
    }

    /// Whether nobody new gets in by a listener or by any, but connections may still come out of
    /// the queues.
    pub(crate) fn is_closing(&self) -> bool {
        matches!(self.admission, Admission::Closing { .. })
            || self.entries.values().any(Entry::is_closing)
    }
}

/// One listener.
impl ListenerSet {
    /// Closes a listener. An inherited one stays, unwatched, until a worker asks for it: closing
    /// our descriptor would not end its watch, since others have it too.
    pub(crate) fn release(&mut self, listener: ListenerId) {
        let Some(entry) = self.entries.get_mut(&listener) else { return };
        entry.closes_at = Some(0);
        if !entry.listener.is_inherited() {
            self.entries.remove(&listener);
        }
    }

    /// Lets nobody new in by one listener, and returns the connections in its queue. The sockets
    /// stay for `CLOSING_GRACE`.
    pub(crate) fn retire(&mut self, listener: ListenerId, now: Millis) -> Vec<Connection> {
        let Some(entry) = self.entries.get_mut(&listener) else { return Vec::new() };
        entry.closes_at = Some(now + CLOSING_GRACE);
        entry.refuse_new();
        entry.empty(0)
    }

    /// Closes retired listeners before their grace is over, where another one is about to take
    /// their place; see `take_rescued`.
    pub(super) fn close_retired(&mut self, is_in_the_way: impl Fn(&Entry) -> bool) {
        let rescued = self.close_where(0, |entry| entry.is_closing() && is_in_the_way(entry));
        self.rescued.extend(rescued);
    }

    /// Closes sockets, and returns the connections in their queues.
    pub(super) fn close_where(
        &mut self,
        now: Millis,
        is_meant: impl Fn(&Entry) -> bool,
    ) -> Vec<Connection> {
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
}
