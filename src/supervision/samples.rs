//! What samples of the scoreboard show: stuck workers, which are killed, and workers that passed a
//! threshold, which are recycled.

use crate::clock::Millis;
use crate::protocol::status::STUCK_AFTER;
use crate::supervision::messages::{Notice, Reading};
use crate::supervision::supervisor::Supervisor;
use crate::supervision::worker::{Cause, WorkerRecord, WorkerState};

/// Returns how often a worker shows that its event loop turns, milliseconds: several times within
/// the limit, so that a late beat does no harm.
pub(crate) fn beat_interval(max_heartbeat_delay: Millis) -> Millis {
    (max_heartbeat_delay / 4).clamp(100, 1_000)
}

impl Supervisor {
    /// How often to send `Sample`, milliseconds.
    pub(crate) fn sample_interval(&self) -> Millis {
        (self.limits.max_heartbeat_delay / 4).clamp(250, 1_000)
    }

    /// Takes a sample that was made at `machine`, on the machine's clock.
    pub(super) fn sample(&mut self, readings: &[Reading], machine: Millis, now: Millis) {
        self.take_beats(readings, machine, now);
        if !self.is_running() {
            return;
        }
        for reading in readings {
            let Some(worker) = self.workers.get(&reading.worker).filter(|worker| worker.is_ready())
            else {
                continue;
            };
            let Some(pid) = worker.pid else { continue };
            let age = now.saturating_sub(worker.beat);
            if age > self.limits.max_heartbeat_delay {
                let ready_for = worker.ready_for(now);
                self.notify(Notice::Unresponsive { pid, age });
                self.kill(reading.worker, Cause::Unresponsive);
                self.vacate(reading.worker, ready_for, now);
                let reason = format!("worker {pid} was stuck for {age} ms");
                self.on_loss(reading.worker, &reason, now);
            }
        }
        if self.replacements.may_recycle(now) {
            self.recycle_one(readings, now);
        }
    }

    fn take_beats(&mut self, readings: &[Reading], machine: Millis, now: Millis) {
        let (last_sample, then) = std::mem::replace(&mut self.last_sample, (machine, now));
        for reading in readings {
            let Some(worker) = self.workers.get_mut(&reading.worker) else { continue };
            // Equal: the beat may have come just after that sample.
            if reading.beat >= last_sample {
                let ago = machine.saturating_sub(reading.beat);
                worker.beat = now.saturating_sub(ago).max(then).max(worker.beat);
            }
        }
    }

    /// For how long the event loop of a ready or draining worker has shown no turn, if that is so
    /// long that it has certainly not turned for [`STUCK_AFTER`].
    pub(crate) fn stuck_for(&self, worker: &WorkerRecord) -> Option<Millis> {
        let runs = matches!(worker.state, WorkerState::Ready { .. } | WorkerState::Draining { .. });
        let age = self.last_sample.1.saturating_sub(worker.beat);
        (runs && age >= self.limits.beat_interval + STUCK_AFTER).then_some(age)
    }

    fn recycle_one(&mut self, readings: &[Reading], now: Millis) {
        for reading in readings {
            let Some(worker) = self.workers.get(&reading.worker) else { continue };
            let (Some(uptime), Some(pid)) = (worker.ready_for(now), worker.pid) else { continue };
            if self.holder(worker.slot) != Some(reading.worker) {
                continue;
            }
            let Reading { connections, memory, .. } = *reading;
            let thresholds = &self.limits.thresholds;
            if let Some(reason) = thresholds.passed(worker.jitter, connections, uptime, memory) {
                self.notify(Notice::Recycling { pid, reason });
                return self.replace(reading.worker, now);
            }
        }
    }
}
