//! The course of an upgrade in the master from which another one takes over: what happens, and what
//! it means for signals, the status and the end of this one.
//!
//! What always holds: until this master has stepped down, it does all that it does without an heir.
//! Afterwards it sends what comes to the heir, and ends with its last worker.

use signal_hook::consts::{SIGHUP, SIGTERM, SIGUSR2};

use super::inbox::{HeirNews, Signal};
use super::task::Task;
use super::upgrade_state::{Running, Stage, Upgrade};
use crate::handover::PredecessorEvent;
use crate::os::{self, process};
use crate::protocol::carried_totals::CarriedTotals;
use crate::protocol::handover::{FromHeir, ToHeir, print, shorten};
use crate::protocol::status::UpgradeStatus;

impl Task {
    pub(super) fn on_heir(&mut self, pid: u32, news: HeirNews) {
        // Of one whose upgrade is over.
        if self.running().is_none_or(|running| running.heir.pid != pid) {
            return;
        }
        let event = match news {
            HeirNews::Message(FromHeir::Switched { disabled, by }) => {
                return self.switched_by_other_master(disabled, by);
            }
            HeirNews::Message(message) => PredecessorEvent::Message(message),
            HeirNews::Closed => PredecessorEvent::Closed,
            HeirNews::Exited(exit) => {
                let lines = self.running_mut().map(|running| {
                    running.heir.has_ended = true;
                    running.heir.last_lines()
                });
                PredecessorEvent::Exited { exit, lines: lines.unwrap_or_default() }
            }
        };
        self.advance_upgrade(event);
    }

    /// Feeds the state machine, and executes its actions.
    pub(super) fn advance_upgrade(&mut self, event: PredecessorEvent) {
        let Some(running) = self.running_mut() else { return };
        for action in running.machine.on_event(event, os::now()) {
            self.execute_upgrade(action);
        }
    }

    pub(super) fn running(&self) -> Option<&Running> {
        match &self.upgrade.as_ref()?.stage {
            Stage::Running(running) => Some(running),
            Stage::Copying { .. } => None,
        }
    }

    pub(super) fn running_mut(&mut self) -> Option<&mut Running> {
        match &mut self.upgrade.as_mut()?.stage {
            Stage::Running(running) => Some(running),
            Stage::Copying { .. } => None,
        }
    }

    /// Has an upgrade undone, because this cluster ends. `abrupt`: at once.
    pub(super) fn cancel_upgrade(&mut self, abrupt: bool) {
        let reason = "the cluster is shutting down".to_owned();
        if matches!(&self.upgrade, Some(Upgrade { stage: Stage::Copying { .. }, .. }))
            && let Some(Upgrade { reply, .. }) = self.upgrade.take()
        {
            self.lend(false);
            return self.fail_upgrade(reply, &reason);
        }
        if self.running().is_some_and(|running| !running.machine.has_stepped_down()) {
            self.advance_upgrade(PredecessorEvent::Cancel { reason, abrupt });
            // The heir ends too: nobody may go on with the sockets.
            self.lend(false);
        }
    }

    /// Whether an heir that was told to end still has requests: this master ends after it, as after
    /// its workers.
    pub(super) fn waits_for_heir(&self) -> bool {
        self.running()
            .is_some_and(|running| running.machine.is_called_off() && running.machine.has_heard())
    }

    /// This master ends: one that was started to take over, and has not said anything, goes with
    /// it.
    pub(super) fn drop_unknown_heir(&self) {
        if let Some(running) = self.running().filter(|running| !running.machine.has_heard()) {
            running.heir.kill();
        }
    }

    /// Passes a signal on to the master that took over. Returns `false` if there is none.
    pub(super) fn pass_on_signal(&self, signal: Signal) -> bool {
        let is_master =
            |running: &&Running| running.machine.has_stepped_down() && !running.heir.has_ended;
        let Some(running) = self.running().filter(is_master) else { return false };
        let number = match signal {
            Signal::Shutdown | Signal::Stop => SIGTERM,
            Signal::Reload => SIGHUP,
            Signal::ReopenLogs => SIGUSR2,
        };
        if let Err(error) = process::send_signal(&*running.heir.pidfd, number) {
            tracing::error!(%error, "cannot pass a signal on to the new master");
        }
        true
    }

    /// Tells the other master of a switch of the health check.
    pub(super) fn tell_heir_switched(&self, disabled: bool, by: &str) {
        if let Some(running) = self.running() {
            let switched = ToHeir::Switched { disabled, by: shorten(by) };
            running.link.send(print(&switched), None);
        }
    }

    /// Sends the heir the totals so far, once it has taken over.
    pub(super) fn tell_heir_counts(&self) {
        if let Some(running) = self.running().filter(|running| running.machine.has_stepped_down()) {
            let totals = CarriedTotals::from(&self.totals());
            let workers = self.workers.len() as u32;
            running.link.send_unless_busy(print(&ToHeir::Counted { totals, workers }));
        }
    }

    pub(super) fn upgrade_deadline(&self) -> Option<u64> {
        self.running()?.machine.next_tick()
    }

    pub(super) fn upgrade_status(&self) -> Option<UpgradeStatus> {
        let Running { machine, heir, ready, target, .. } = self.running()?;
        let warning = self.upgrade.as_ref().and_then(|upgrade| upgrade.warning.clone());
        Some(UpgradeStatus {
            pid: heir.pid,
            state: machine.word(),
            ready: *ready,
            target: *target,
            draining: if machine.has_stepped_down() { self.workers.len() as u32 } else { 0 },
            warning,
        })
    }
}
