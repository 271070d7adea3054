//! What the task does at regular times.

use super::task::Task;
use crate::dispatcher::Request;
use crate::os::{self, process};
use crate::supervision::Event;

impl Task {
    /// Takes what the master and its workers use, and acts on it.
    pub(super) fn sample(&mut self) {
        self.usage.take_cpu(os::now(), process::processor_time());
        for handle in self.workers.values_mut() {
            handle.usage.take_row(&handle.row);
        }
        let now = os::now();
        let readings = self.workers.iter().map(|(id, handle)| handle.reading(*id, now)).collect();
        self.apply(Event::Sample { readings });
        let is_handing_over = self.upgrade.is_some() || self.is_on_trial();
        if self.parts.info.config.max_workers.is_some() && !is_handing_over {
            self.apply(Event::Autoscale);
        }
        self.observe_overload();
    }

    /// Restores what somebody removed from the `pids` directory.
    pub(super) fn check_pids(&mut self) {
        let problem = self.restore_pids().err();
        if self.pids_problem.set(problem.clone())
            && let Some(message) = problem
        {
            self.warn(message);
        }
    }

    fn restore_pids(&mut self) -> Result<(), String> {
        let restored = self.parts.pids.restore();
        if let Some(socket) = restored.map_err(|error| {
            format!("others do not find this cluster any more: {}", error.message())
        })? {
            tracing::info!("the control socket was made again");
            self.control.renew(socket);
        }
        self.parts.pids.restore_workers().map_err(|error| {
            format!("others do not find all workers of this cluster: {}", error.message())
        })
    }

    pub(super) fn give_sign_of_life(&self) {
        if let Some(answered) = self.parts.notifier.tick() {
            self.parts.dispatcher.send(Request::Ping(answered));
        }
    }
}
