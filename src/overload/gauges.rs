//! When to look at which accept queue.
//!
//! A queue is looked at in intervals from the moment when somebody comes, until it is empty and
//! epoll reports the next one. So an idle cluster is not woken.

use std::collections::BTreeMap;

use crate::balancing::Backlog;
use crate::clock::Millis;
use crate::config::OverloadOptions;
use crate::listeners::CHECK_AFTER;
use crate::protocol::ListenerId;

/// The shortest interval, milliseconds; also the one while connections are shed: the queue must not
/// be full in the meantime, since the kernel then makes clients try again after a second.
const SHORTEST: Millis = 5;
/// A connection is noticed within this part of the delay.
const PART: Millis = 8;

#[derive(Debug)]
pub(super) struct Gauges {
    limits: OverloadOptions,
    interval: Millis,
    queues: BTreeMap<ListenerId, Gauge>,
}

#[derive(Debug)]
struct Gauge {
    backlog: Backlog,
    at: Millis,
}

/// What a look has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finding {
    /// Nobody waits, and epoll reports the next one.
    Still,
    /// Somebody may wait, and nobody for too long.
    Bearable,
    /// Connections were shed.
    Shed,
    /// More than can be shed at once have to be.
    More,
    /// Nothing can be accepted before this time.
    Short { until: Millis },
}

impl Gauges {
    pub(super) fn new(limits: OverloadOptions) -> Self {
        let interval = limits.delay.map_or(CHECK_AFTER, |delay| delay / PART);
        let interval = interval.clamp(SHORTEST, CHECK_AFTER);
        Self { limits, interval, queues: BTreeMap::new() }
    }

    /// Somebody came to a listener.
    pub(super) fn begin(&mut self, listener: ListenerId, now: Millis) {
        let limits = self.limits;
        let gauge = || Gauge { backlog: Backlog::new(limits), at: now };
        self.queues.entry(listener).or_insert_with(gauge);
    }

    /// It is not known any more since when the connections of a listener wait.
    pub(super) fn forget(&mut self, listener: ListenerId) {
        if let Some(gauge) = self.queues.get_mut(&listener) {
            gauge.backlog.forget();
        }
    }

    /// Looks at the queue of a listener no more.
    pub(super) fn end(&mut self, listener: ListenerId) {
        self.queues.remove(&listener);
    }

    /// The listeners whose queue has to be looked at.
    pub(super) fn due(&self, now: Millis) -> Vec<ListenerId> {
        let due = self.queues.iter().filter(|(_, gauge)| gauge.at <= now);
        due.map(|(listener, _)| *listener).collect()
    }

    pub(super) fn backlog(&mut self, listener: ListenerId) -> Option<&mut Backlog> {
        self.queues.get_mut(&listener).map(|gauge| &mut gauge.backlog)
    }

    /// Schedules the next look.
    pub(super) fn looked(&mut self, listener: ListenerId, now: Millis, finding: Finding) {
        let at = match finding {
            Finding::Still => return self.end(listener),
            Finding::Bearable => now + self.interval,
            Finding::Shed => now + SHORTEST,
            Finding::More => now,
            Finding::Short { until } => until.max(now + SHORTEST),
        };
        if let Some(gauge) = self.queues.get_mut(&listener) {
            gauge.at = at;
        }
    }

    /// When to look next.
    pub(super) fn next_look(&self) -> Option<Millis> {
        self.queues.values().map(|gauge| gauge.at).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_looked_at_until_it_is_empty_and_more_often_while_connections_are_shed() {
        let limits = OverloadOptions { waiting: None, delay: Some(100) };
        let mut gauges = Gauges::new(limits);
        assert_eq!((gauges.next_look(), gauges.due(9).len()), (None, 0));
        gauges.begin(7, 1_000);
        gauges.begin(7, 2_000);
        assert_eq!((gauges.next_look(), gauges.due(1_000)), (Some(1_000), vec![7]));
        for (finding, next) in [
            (Finding::Bearable, Some(1_012)),
            (Finding::Shed, Some(1_005)),
            (Finding::More, Some(1_000)),
            (Finding::Short { until: 1_100 }, Some(1_100)),
            (Finding::Still, None),
        ] {
            gauges.looked(7, 1_000, finding);
            assert_eq!(gauges.next_look(), next, "{finding:?}");
        }
    }
}
