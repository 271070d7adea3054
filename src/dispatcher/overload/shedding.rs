//! What the dispatcher has where the option `overload` is on.

use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;

use crate::clock::Millis;
use crate::dispatcher::connection::Connection;
use crate::dispatcher::listeners::ListenerSet;
use crate::dispatcher::overload::gauges::{Finding, Gauges};
use crate::dispatcher::overload::policy::OverloadPolicy;
use crate::dispatcher::overload::refusals::{Outcome, Refusals};
use crate::protocol::ListenerId;

/// A turn of a worker's event loop should take at most this part of the delay: what it accepts in
/// one turn is answered in the next.
const TURNS: Millis = 8;
/// Connections accepted from one socket in one turn, so that none of them starves the others.
const SHED_AT_ONCE: usize = 64;

/// What came of the connections that were looked at.
#[derive(Debug, Default)]
pub(in crate::dispatcher) struct Shed {
    /// How many were answered.
    pub(in crate::dispatcher) answered: usize,
    /// Those that have to go to a worker.
    pub(in crate::dispatcher) health_checks: Vec<Connection>,
}

impl Shed {
    fn add(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Answered => self.answered += 1,
            Outcome::HealthCheck(connection) => self.health_checks.push(connection),
            Outcome::Nothing => {}
        }
    }
}

#[derive(Debug)]
pub(in crate::dispatcher) struct Shedding {
    policy: OverloadPolicy,
    gauges: Gauges,
    refusals: Refusals,
}

impl Shedding {
    pub(in crate::dispatcher) fn new(policy: OverloadPolicy) -> Self {
        Self { gauges: Gauges::new(policy.limits), policy, refusals: Refusals::new() }
    }

    /// Returns how long a turn of a worker's event loop should take at most, milliseconds. `None`:
    /// as long as it likes, since it does not matter for how long connections wait.
    pub(in crate::dispatcher) fn turn(&self) -> Option<Millis> {
        self.policy.limits.delay.map(|delay| (delay / TURNS).max(1))
    }

    /// Somebody came to a listener.
    pub(in crate::dispatcher) fn begin(&mut self, listener: ListenerId, now: Millis) {
        self.gauges.begin(listener, now);
    }

    /// Connections were accepted from a listener that nobody counted.
    pub(in crate::dispatcher) fn forget(&mut self, listener: ListenerId) {
        self.gauges.forget(listener);
    }

    /// Looks at the queue of a listener no more.
    pub(in crate::dispatcher) fn end(&mut self, listener: ListenerId) {
        self.gauges.end(listener);
    }

    /// The listeners whose queue has to be looked at.
    pub(in crate::dispatcher) fn due(&self, now: Millis) -> Vec<ListenerId> {
        self.gauges.due(now)
    }

    /// When there is something to do.
    pub(in crate::dispatcher) fn next_wake(&self) -> Option<Millis> {
        [self.gauges.next_look(), self.refusals.next_expiry()].into_iter().flatten().min()
    }

    /// Looks at the queue of a listener, and sheds what is too much. `may_pass`: whether a worker
    /// has room for a health check; otherwise it is shed too.
    pub(in crate::dispatcher) fn shed(
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
        if backlog.excess(now, accepted, queue.waiting) > 0 {
            return Ok(queue.bit);
        }
        let is_still = queue.waiting == 0 && queue.is_heard;
        Err(if is_still { Finding::Still } else { Finding::Bearable })
    }

    /// Epoll has reported something of the connection with this number. `may_pass` returns, for its
    /// listener, what it is in `shed`.
    pub(in crate::dispatcher) fn on_event(
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
        shed
    }

    /// How many connections were accepted to be shed, and are still open.
    #[cfg(test)]
    pub(in crate::dispatcher) fn open(&self) -> usize {
        self.refusals.len()
    }

    /// Does what it is time for with connections that were accepted to be shed.
    pub(in crate::dispatcher) fn expire(&mut self, epoll: &OwnedFd, now: Millis) -> Shed {
        Shed { answered: self.refusals.expire(epoll, now), health_checks: Vec::new() }
    }
}
