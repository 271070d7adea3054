//! Sockets from which workers accept by themselves.
//!
//! The master has each of them, so that no queue dies with a worker, and guards it. What always
//! holds: whatever goes wrong between the workers, nobody waits in such a queue for much longer
//! than [`CHECK_AFTER`](crate::listeners::CHECK_AFTER) while a worker answers that could take the
//! connection.
//!
//! A guarded socket is watched for one event: somebody came. After `CHECK_AFTER` the dispatcher
//! checks whether somebody waits and no worker has had any connection since. If so, it kicks all
//! workers. If that does not help in the same time, although a worker has answered, it accepts
//! itself, unless a former master still leads, whose guard does that. So it wakes at most 40 times a
//! second for a listener, and for an idle one never.

use std::os::fd::OwnedFd;

use crate::dispatcher::event_loop::EventLoop;
use crate::dispatcher::link::WorkerLink;
use crate::dispatcher::token::Token;
use crate::listeners::{Finding, Interest};
use crate::os;
use crate::overload::Shedding;
use crate::protocol::worker::WorkerId;
use crate::protocol::{ListenerId, SharedSocket};

impl EventLoop {
    /// Watches sockets of which a worker could take the connections. Those of the others wait in
    /// the kernel's queue.
    pub(super) fn watch_listeners(&mut self) {
        let (workers, admits) = (&self.workers, self.listeners.is_admitting());
        let interest = |listener| {
            if workers.acceptors(listener).next().is_some() {
                Interest::Guard
            } else if admits && workers.queues().has_room(listener) {
                Interest::Accept
            } else {
                Interest::Off
            }
        };
        let progress = |listener| progress(workers.acceptors(listener));
        let token = |listener| Token::Listener(listener).data();
        self.listeners.watch(&self.epoll, self.now, token, interest, progress);
    }

    /// Checks the queues to which somebody came.
    pub(super) fn check_queues(&mut self) {
        let workers = &self.workers;
        let progress = |listener| progress(workers.acceptors(listener));
        for (listener, finding) in self.listeners.take_due(self.now, progress) {
            match finding {
                Finding::Moves => {}
                Finding::Stands => {
                    tracing::debug!(listener, "its queue does not move; all workers are woken");
                    let now = os::now_micros();
                    self.workers.acceptors(listener).for_each(|link| link.kick(now));
                }
                Finding::StillStands => {
                    if self.listeners.may_accept_guarded(listener)
                        && self.workers.acceptors(listener).any(WorkerLink::has_answered)
                    {
                        tracing::warn!(listener, "no worker accepts; the master does");
                        self.accept_by(|set, now| set.accept_guarded(listener, now));
                        if let Some(shedding) = &mut self.shedding {
                            shedding.forget(listener);
                        }
                    }
                }
            }
        }
    }

    /// Returns a descriptor of the socket of `listener` for a worker, if it may accept by itself.
    pub(super) fn share(
        &mut self,
        worker: WorkerId,
        listener: ListenerId,
    ) -> Option<(SharedSocket, OwnedFd)> {
        self.workers.get(worker).filter(|link| link.is_open())?;
        self.listeners.share(listener, self.shedding.as_ref().and_then(Shedding::turn))
    }
}

/// Returns how many connections these workers ever had.
fn progress<'a>(acceptors: impl Iterator<Item = &'a WorkerLink>) -> u64 {
    acceptors.map(WorkerLink::progress).sum()
}
