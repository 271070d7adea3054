//! What samples of the scoreboard show: stuck workers, which are killed (`silence`), workers that
//! passed a threshold, which are recycled, and how busy all are (`scaling`).

use crate::clock::Millis;
use crate::protocol::status::STUCK_AFTER;
use crate::supervision::messages::{Notice, Reading};
use crate::supervision::supervisor::Supervisor;
use crate::supervision::worker::{WorkerRecord, WorkerState};

/// Returns how often a worker shows that its event loop turns, milliseconds: several times within
/// each limit, so that a late beat does no harm.
pub(crate) fn beat_interval(max_heartbeat_delay: Millis, blocked_after: Option<Millis>) -> Millis {
    let interval = (max_heartbeat_delay / 4).clamp(100, 1_000);
    blocked_after.map_or(interval, |limit| interval.min((limit / 4).max(1)))
}

impl Supervisor {
    /// How often a worker shows that its event loop turns, milliseconds.
    pub(crate) fn beat_interval(&self) -> Millis {
        self.limits.beat_interval
    }

    /// How often to send `Sample`, milliseconds.
    pub(crate) fn sample_interval(&self) -> Millis {
        let interval = (self.limits.max_heartbeat_delay / 4).clamp(250, 1_000);
        self.limits.blocked_after.map_or(interval, |limit| interval.min((limit / 4).max(1)))
    }

    /// Takes a sample that was made at `machine`, on the machine's clock.
    pub(super) fn sample(&mut self, readings: &[Reading], machine: Millis, now: Millis) {
        self.take_utilization(readings, machine);
        self.take_beats(readings, machine, now);
        if !self.is_running() {
            return;
        }
        for reading in readings {
            self.check_silence(reading.worker, now);
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

    /// For how long the event loop of a ready, waiting or draining worker has shown no turn, if
    /// that is so long that it has certainly not turned for [`STUCK_AFTER`].
    pub(crate) fn stuck_for(&self, worker: &WorkerRecord) -> Option<Millis> {
        let runs = worker.should_turn() || matches!(worker.state, WorkerState::Draining { .. });
        let age = self.last_sample.1.saturating_sub(worker.beat);
        (runs && age >= self.limits.beat_interval + STUCK_AFTER).then_some(age)
    }

    fn recycle_one(&mut self, readings: &[Reading], now: Millis) {
        for reading in readings {
            let Some(worker) = self.workers.get(&reading.worker) else { continue };
            // A spare has no clients, but may have a leak.
            let uptime = if worker.is_waiting() { Some(0) } else { worker.ready_for(now) };
            let (Some(uptime), Some(pid)) = (uptime, worker.pid) else { continue };
            if self.holder(worker.slot) != Some(reading.worker) {
                continue;
            }
            let Reading { connections, memory, .. } = *reading;
            let thresholds = &self.limits.thresholds;
            if let Some(passed) = thresholds.passed(worker.jitter, connections, uptime, memory) {
                self.notify(Notice::Recycling { pid, passed });
                return self.replace(reading.worker, now);
            }
        }
    }
}
