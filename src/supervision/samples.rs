//! What samples of the scoreboard show: stuck workers, which are killed, and workers that passed a
//! threshold, which are recycled.

use crate::clock::Millis;
use crate::supervision::messages::{Notice, Reading};
use crate::supervision::supervisor::Supervisor;
use crate::supervision::worker::{Cause, WorkerState};

impl Supervisor {
    /// How often to send `Sample`, milliseconds.
    pub(crate) fn sample_interval(&self) -> Millis {
        let hangs = (self.limits.max_heartbeat_delay / 4).max(250);
        if self.limits.thresholds.any() { hangs.min(1_000) } else { hangs }
    }

    /// Takes a sample that was made at `machine`, on the machine's clock.
    pub(super) fn sample(&mut self, readings: &[Reading], machine: Millis, now: Millis) {
        let (last_sample, then) = std::mem::replace(&mut self.last_sample, (machine, now));
        if !self.is_running() {
            return;
        }
        for reading in readings {
            let Some(worker) = self.workers.get_mut(&reading.worker) else { continue };
            let (WorkerState::Ready { since, beat }, Some(pid)) = (&mut worker.state, worker.pid)
            else {
                continue;
            };
            if reading.beat > last_sample {
                let ago = machine.saturating_sub(reading.beat);
                *beat = now.saturating_sub(ago).max(then).max(*since);
            }
            let age = now.saturating_sub(*beat);
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
