//! What the dispatcher has where the option `overload` is on.

use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;

use rustix::event::epoll::EventData;

use crate::clock::Millis;
use crate::connection::Connection;
use crate::listeners::ListenerSet;
use crate::overload::gauges::{Finding, Gauges};
use crate::overload::policy::OverloadPolicy;
use crate::overload::refusals::{Outcome, Refusals};
use crate::protocol::ListenerId;

/// A turn of a worker's event loop should take at most this part of the delay: what it accepts in
/// one turn is answered in the next.
const TURNS: Millis = 8;
/// Connections accepted from one socket in one turn, so that none of them starves the others.
const SHED_AT_ONCE: usize = 64;

/// What came of the connections that were looked at.
#[derive(Debug, Default)]
pub(crate) struct Shed {
    /// How many were answered.
    pub(crate) answered: usize,
    /// Those that have to go to a worker.
    pub(crate) health_checks: Vec<Connection>,
}

impl Shed {
    fn add(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::HealthCheck(connection) => self.health_checks.push(connection),
            Outcome::Nothing => {}
        }
    }
}

#[derive(Debug)]
pub(crate) struct Shedding {
    policy: OverloadPolicy,
    gauges: Gauges,
    refusals: Refusals,
}

impl Shedding {
    /// `token` returns what epoll reports of the shed connection with a number; see `on_event`.
    pub(crate) fn new(policy: OverloadPolicy, token: fn(u64) -> EventData) -> Self {
        Self { gauges: Gauges::new(policy.limits), policy, refusals: Refusals::new(token) }
    }

    /// Returns how long a turn of a worker's event loop should take at most, milliseconds. `None`:
    /// as long as it likes, since it does not matter for how long connections wait.
    pub(crate) fn turn(&self) -> Option<Millis> {
        self.policy.limits.delay.map(|delay| (delay / TURNS).max(1))
    }

    /// Somebody came to a listener.
    pub(crate) fn begin(&mut self, listener: ListenerId, now: Millis) {
        self.gauges.begin(listener, now);
    }

    /// Connections were accepted from a listener that nobody counted.
    pub(crate) fn forget(&mut self, listener: ListenerId) {
        self.gauges.forget(listener);
    }

    /// Looks at the queue of a listener no more.
    pub(crate) fn end(&mut self, listener: ListenerId) {
        self.gauges.end(listener);
    }

    /// The listeners whose queue has to be looked at.
    pub(crate) fn due(&self, now: Millis) -> Vec<ListenerId> {
        self.gauges.due(now)
    }

    /// When there is something to do.
    pub(crate) fn next_wake(&self) -> Option<Millis> {
        [self.gauges.next_look(), self.refusals.next_expiry()].into_iter().flatten().min()
    }

    /// Looks at the queue of a listener, and sheds what is too much. `may_pass`: whether a worker
    /// has room for a health check; otherwise it is shed too.
    pub(crate) fn shed(
        &mut self,
        listener: ListenerId,
        listeners: &mut ListenerSet,
        epoll: &OwnedFd,
        now: Millis,
        may_pass: bool,
    ) -> Shed {
        let mut shed = Shed::default();
        let mut finding = Finding::More;
        for accepted in 0..SHED_AT_ONCE {
            let bit = match self.look(listener, listeners, now) {
                Ok(bit) => bit,
                Err(found) => {
                    let has_shed = found == Finding::Bearable && accepted > 0;
                    finding = if has_shed { Finding::Shed } else { found };
                    break;
                }
            };
            let Some(connection) = listeners.accept_guarded(listener, now) else { continue };
            self.policy.header.accepted(bit).fetch_add(1, Ordering::Relaxed);
            let passes = self.policy.passes(may_pass);
            shed.add(self.refusals.add(connection, epoll, now, passes));
        }
        self.gauges.looked(listener, now, finding);
        shed.answered = self.refusals.take_answered();
        shed
    }

    /// Looks at the queue of a listener. Returns the socket's bit on the scoreboard if its oldest
    /// connection is too much.
    fn look(
        &mut self,
        listener: ListenerId,
        listeners: &ListenerSet,
        now: Millis,
    ) -> Result<u32, Finding> {
        let queue = listeners.queue(listener).ok_or(Finding::Still)?;
        if let Some(until) = queue.paused_until.filter(|until| *until > now) {
            self.refusals.make_room();
            return Err(Finding::Short { until });
        }
        let backlog = self.gauges.backlog(listener).ok_or(Finding::Still)?;
        if queue.is_lent {
            backlog.forget();
        }
        let accepted = self.policy.header.accepted(queue.bit).load(Ordering::Relaxed);
        if backlog.excess(now, accepted, queue.waiting, queue.room) > 0 {
            return Ok(queue.bit);
        }
        let is_still = queue.waiting == 0 && queue.is_heard;
        Err(if is_still { Finding::Still } else { Finding::Bearable })
    }

    /// Epoll has reported something of the connection with this number. `may_pass` returns, for its
    /// listener, what it is in `shed`.
    pub(crate) fn on_event(
        &mut self,
        number: u64,
        epoll: &OwnedFd,
        now: Millis,
        may_pass: impl FnOnce(ListenerId) -> bool,
    ) -> Shed {
        let mut shed = Shed::default();
        let may_pass = self.refusals.listener(number).is_some_and(may_pass);
        let passes = self.policy.passes(may_pass);
        shed.add(self.refusals.on_event(number, epoll, now, passes));
        shed.answered = self.refusals.take_answered();
        shed
    }

    /// How many connections were accepted to be shed, and are still open.
    #[cfg(test)]
    pub(crate) fn open(&self) -> usize {
        self.refusals.len()
    }

    /// Does what it is time for with connections that were accepted to be shed.
    pub(crate) fn expire(&mut self, epoll: &OwnedFd, now: Millis) -> Shed {
        self.refusals.expire(epoll, now);
        Shed { answered: self.refusals.take_answered(), health_checks: Vec::new() }
    }
}
