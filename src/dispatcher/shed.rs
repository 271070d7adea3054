//! Shedding; see `overload`.

use crate::dispatcher::event_loop::EventLoop;
use crate::dispatcher::messages::Counts;
use crate::overload::Shed;
use crate::protocol::ListenerId;

impl EventLoop {
    /// Somebody came to a listening socket.
    pub(super) fn gauge(&mut self, listener: ListenerId) {
        if let Some(shedding) = &mut self.shedding {
            shedding.begin(listener, self.now);
        }
    }

    /// Sheds what has waited for too long, and does what it is time for with those that were shed.
    pub(super) fn shed(&mut self) {
        let Some(shedding) = &mut self.shedding else { return };
        if shedding.next_wake().is_none_or(|at| at > self.now) {
            return;
        }
        let expired = shedding.expire(&self.epoll, self.now);
        let due = shedding.due(self.now);
        self.settle_shed(expired);
        for listener in due {
            self.shed_from(listener);
        }
    }

    fn shed_from(&mut self, listener: ListenerId) {
        let may_shed = self.may_shed(listener);
        let may_pass = self.workers.queues().has_room(listener);
        let Some(shedding) = &mut self.shedding else { return };
        if !may_shed {
            return shedding.end(listener);
        }
        let shed = shedding.shed(listener, &mut self.listeners, &self.epoll, self.now, may_pass);
        self.settle_shed(shed);
    }

    /// Whether all workers that accept from a listener speak HTTP/1 there, and there is one.
    fn may_shed(&self, listener: ListenerId) -> bool {
        let mut acceptors = self.workers.acceptors(listener).peekable();
        acceptors.peek().is_some() && acceptors.all(|link| link.speaks_http1(listener))
    }

    /// Epoll has reported something of a connection that was accepted to be shed.
    pub(super) fn on_shed_event(&mut self, number: u64) {
        if let Some(shedding) = &mut self.shedding {
            let may_pass = |listener| self.workers.queues().has_room(listener);
            let shed = shedding.on_event(number, &self.epoll, self.now, may_pass);
            self.settle_shed(shed);
        }
    }

    fn settle_shed(&mut self, shed: Shed) {
        Counts::add(&self.counts.shed, shed.answered);
        for connection in shed.health_checks {
            self.assign(connection, None);
        }
    }
}
