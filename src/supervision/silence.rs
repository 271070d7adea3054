//! Workers whose event loop does not turn: what they execute is asked, then they are reported, and
//! killed if they were silent for too long.
//!
//! What always holds: an answer that does not come delays the kill by [`STACK_WITHIN`] at most, and
//! a worker that turns again meanwhile is not killed. A block is reported once, and so are at most
//! ten a minute and one a second of each worker.

use crate::clock::Millis;
use crate::protocol::worker::WorkerId;
use crate::supervision::blocks::{Question, Reason, STACK_WITHIN};
use crate::supervision::messages::{Action, Notice};
use crate::supervision::supervisor::Supervisor;
use crate::supervision::worker::Cause;

impl Supervisor {
    /// Asks what a worker executes if its start is over and its event loop has not turned for too
    /// long. A spare that was activated has started before.
    pub(super) fn check_silence(&mut self, id: WorkerId, now: Millis) {
        let Some(worker) = self.workers.get_mut(&id).filter(|worker| worker.should_turn()) else {
            return;
        };
        let age = now.saturating_sub(worker.beat);
        let beat = worker.beat;
        let question = |reason| Question { until: now + STACK_WITHIN, beat, age, reason };
        let asks_for = worker.asked.map(|question| question.reason);
        if age > self.limits.max_heartbeat_delay {
            if asks_for != Some(Reason::Unresponsive) {
                worker.asked = Some(question(Reason::Unresponsive));
                self.actions.push(Action::Ask { worker: id, dying: true });
            }
            return;
        }
        if asks_for == Some(Reason::Unresponsive) {
            worker.asked = None;
        }
        // Its event loop may have turned until its next beat was due.
        let interval = self.limits.beat_interval;
        let is_blocked = self.limits.blocked_after.is_some_and(|limit| age >= limit + interval);
        if !is_blocked {
            worker.blocks.is_known = false;
        } else if worker.blocks.begin(now) && worker.asked.is_none() {
            worker.asked = Some(question(Reason::Blocked));
            self.actions.push(Action::Ask { worker: id, dying: false });
        }
    }

    /// It is known what a worker executes, or it never will be.
    pub(super) fn executed(&mut self, id: WorkerId, now: Millis) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        let Some(question) = worker.asked.take().filter(|_| worker.should_turn()) else { return };
        let Some(pid) = worker.pid else { return };
        let age = now.saturating_sub(worker.beat);
        if question.reason == Reason::Blocked {
            // It may be over.
            let duration = if worker.beat == question.beat { age } else { question.age };
            return self.notify(Notice::Blocked { worker: id, pid, duration });
        }
        let (ready_for, is_spare) = (worker.settled_for(now), worker.is_spare);
        self.notify(Notice::Unresponsive { worker: id, pid, age });
        self.kill(id, Cause::Unresponsive);
        self.vacate(id, ready_for, now);
        self.on_loss(id, is_spare, &format!("worker {pid} was stuck for {age} ms"), now);
    }

    /// Goes on without the answers that are late.
    pub(super) fn end_questions(&mut self, now: Millis) {
        let late = self.workers.iter().filter_map(|(id, worker)| {
            worker.asked.filter(|question| question.until <= now).map(|_| *id)
        });
        for id in late.collect::<Vec<_>>() {
            self.executed(id, now);
        }
    }
}
