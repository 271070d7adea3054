//! The supervisor's part in health checks: it tells of the change from healthy to unhealthy and back, for the cluster as a whole.
//!
//! What always holds: while the cluster runs, `Disabled` for a failed check and the `Enabled` after it alternate, however many workers
//! find something wrong at the same time. A worker that leaves takes what it found with it, but that alone is no recovery: that
//! is told only after a check, of whoever serves now, that found all well.

use crate::protocol::control::switched_off_by;
use crate::protocol::worker::WorkerId;
use crate::supervision::event::Notice;
use crate::supervision::supervisor::Supervisor;
use crate::supervision::worker::WorkerRecord;

impl Supervisor {
    /// Workers that serve and whose last check found something wrong, with what it found.
    pub(crate) fn problems(&self) -> impl Iterator<Item = (u32, &str)> {
        self.serving().filter_map(|worker| Some((worker.pid?, worker.problem.as_deref()?)))
    }

    /// What the master's own checks find wrong.
    pub(crate) fn master_problem(&self) -> Option<&str> {
        self.master_problem.as_deref()
    }

    fn serving(&self) -> impl Iterator<Item = &WorkerRecord> {
        self.workers.values().filter(|worker| worker.holds_slot())
    }

    pub(super) fn checked(&mut self, id: WorkerId, problem: Option<String>) {
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.problem = problem;
            worker.checked = true;
        }
    }

    pub(super) fn switched(&mut self, disabled: bool, by: &str) {
        let off = || Notice::Disabled { pid: None, reason: switched_off_by(by) };
        self.notify(if disabled { off() } else { Notice::Enabled });
    }

    /// `told`: what has just come was the master's own check.
    pub(super) fn judge_health(&mut self, told: bool) {
        if !self.is_running() {
            return;
        }
        let of_worker =
            self.problems().next().map(|(pid, problem)| (Some(pid), problem.to_owned()));
        let worst = of_worker.or_else(|| Some((None, self.master_problem.clone()?)));
        let is_known = told || self.serving().any(|worker| worker.checked);
        match worst {
            Some((pid, reason)) if !self.unhealthy => {
                self.unhealthy = true;
                self.notify(Notice::Disabled { pid, reason });
            }
            None if self.unhealthy && is_known => {
                self.unhealthy = false;
                self.notify(Notice::Enabled);
            }
            _ => {}
        }
    }
}
