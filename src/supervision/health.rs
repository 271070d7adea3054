//! The health of the cluster: notices when it changes, however many workers are checked.
//!
//! What always holds: while the cluster runs, `Disabled` for a failed check and the next `Enabled`
//! alternate. The problem of a worker that leaves goes with it, but that alone is not a recovery:
//! `Enabled` follows only after a check, of a worker that serves now or by the master, found
//! nothing wrong.

use crate::protocol::control::switched_off_by;
use crate::protocol::worker::WorkerId;
use crate::supervision::messages::Notice;
use crate::supervision::supervisor::Supervisor;
use crate::supervision::worker::{Health, WorkerRecord};

impl Supervisor {
    /// Pids of serving workers whose latest check failed, with what it found.
    pub(crate) fn problems(&self) -> impl Iterator<Item = (u32, &str)> {
        self.serving().filter_map(|worker| Some((worker.pid?, worker.problem()?)))
    }

    /// What the master's own checks find wrong.
    pub(crate) fn master_problem(&self) -> Option<&str> {
        self.master_problem.as_deref()
    }

    fn serving(&self) -> impl Iterator<Item = &WorkerRecord> {
        self.workers.values().filter(|worker| worker.is_serving())
    }

    pub(super) fn checked(&mut self, id: WorkerId, problem: Option<String>) {
        let health = problem.map_or(Health::Healthy, Health::Unhealthy);
        self.update(id, |worker| worker.health = health);
    }

    pub(super) fn switched(&mut self, disabled: bool, by: &str) {
        self.notify(if disabled {
            Notice::Disabled { pid: None, reason: switched_off_by(by) }
        } else {
            Notice::Enabled
        });
    }

    /// Notifies if the cluster's health changed. `is_masters_check`: the event was the result of
    /// the master's own check.
    pub(super) fn report_health(&mut self, is_masters_check: bool) {
        if !self.is_running() {
            return;
        }
        let of_worker = self.problems().next().map(|(pid, found)| (Some(pid), found.to_owned()));
        let worst = of_worker.or_else(|| Some((None, self.master_problem.clone()?)));
        let is_checked = |worker: &WorkerRecord| worker.health != Health::Unknown;
        match worst {
            Some((pid, reason)) if !self.is_unhealthy => {
                self.is_unhealthy = true;
                self.notify(Notice::Disabled { pid, reason });
            }
            None if self.is_unhealthy && (is_masters_check || self.serving().any(is_checked)) => {
                self.is_unhealthy = false;
                self.notify(Notice::Enabled);
            }
            _ => {}
        }
    }
}
