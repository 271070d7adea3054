//! The supervisor's part in health checks: it tells of the change from healthy to unhealthy and back, for the cluster as a whole.
//!
//! What always holds: while the cluster runs, `Disabled` with a pid and `Enabled` without a switch alternate, however many workers find
//! something wrong at the same time; a worker that leaves takes what it found with it.

use super::Supervisor;
use crate::core::event::{Notice, switched_off_by};
use crate::core::worker::{Worker, WorkerId};

impl Supervisor {
    /// Workers that serve and whose last check found something wrong, with what it found.
    pub fn problems(&self) -> impl Iterator<Item = (u32, &str)> {
        let serving = self.workers.values().filter(|worker| worker.holds_slot());
        serving.filter_map(|worker: &Worker| Some((worker.pid?, worker.problem.as_deref()?)))
    }

    pub(super) fn checked(&mut self, id: WorkerId, problem: Option<String>) {
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.problem = problem;
        }
    }

    pub(super) fn switched(&mut self, disabled: bool, by: &str) {
        let off = || Notice::Disabled { pid: None, reason: switched_off_by(by) };
        self.tell(if disabled { off() } else { Notice::Enabled });
    }

    pub(super) fn judge_health(&mut self) {
        let worst = self.problems().next().map(|(pid, problem)| (pid, problem.to_owned()));
        match worst {
            Some((pid, reason)) if !self.unhealthy && self.is_running() => {
                self.unhealthy = true;
                self.tell(Notice::Disabled { pid: Some(pid), reason });
            }
            None if self.unhealthy && self.is_running() => {
                self.unhealthy = false;
                self.tell(Notice::Enabled);
            }
            _ => {}
        }
    }
}
