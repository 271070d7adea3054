//! What the state machine of `handover` decides in the master from which another one takes over.
//!
//! What always holds: until this master has stepped down, nothing here changes what it serves.
//! Afterwards it takes everything back if the other one dies before the last worker is gone.

use std::os::fd::AsFd;

use super::task::Task;
use super::upgrade_state::{Farewell, Running, Stage, Upgrade};
use crate::dispatcher::Request;
use crate::handover::{PredecessorAction, Step};
use crate::os::holder;
use crate::protocol::ListenerId;
use crate::protocol::handover::{ToHeir, print};
use crate::supervision::Event;

impl Task {
    pub(super) fn execute_upgrade(&mut self, action: PredecessorAction) {
        let Some(running) = self.running() else { return };
        match action {
            PredecessorAction::Send(message) => running.link.send(print(&message), None),
            PredecessorAction::Terminate => running.heir.terminate(),
            PredecessorAction::Kill => running.heir.kill(),
            PredecessorAction::StepDown { adopted, monitor, pids } => {
                self.step_down(adopted, monitor, pids);
            }
            PredecessorAction::Keep => {
                self.parts.dispatcher.send(Request::Keep { last: true });
            }
            PredecessorAction::Reclaim => self.reclaim(),
            PredecessorAction::Return => {
                self.parts.dispatcher.send(Request::Keep { last: false });
                self.apply(Event::TakeBack);
            }
            PredecessorAction::OutliveHeir => self.tell_holder_own(),
            PredecessorAction::Announce(step) => self.announce_step(&step),
            PredecessorAction::Finish(result) => self.finish_upgrade(result),
        }
    }

    /// The heir answers commands: this master's workers drain.
    fn step_down(&mut self, adopted: Vec<ListenerId>, has_monitor: bool, has_pids: bool) {
        let Some(running) = self.running_mut() else { return };
        running.addresses.retain(|(key, _)| !adopted.contains(key));
        let closed: Vec<_> = running.addresses.iter().map(|(_, address)| address.clone()).collect();
        let pid = running.heir.pid;
        if !closed.is_empty() {
            let addresses = closed.join(", ");
            self.warn(format!("no worker of the new master serves {addresses}, which closes"));
        }
        let Some(running) = self.running() else { return };
        if let Some(holder) = &self.parts.holder
            && let Err(error) = holder::tell(holder, pid, running.heir.pidfd.as_fd())
        {
            tracing::error!(%error, "the holder does not learn of the new master");
        }
        self.parts.notifier.drain();
        // With a directory of its own, the heir leaves this one to this master.
        if has_pids {
            self.parts.pids.step_back();
            self.control.pause();
        }
        if let Some(monitor) = self.monitor.take() {
            monitor.end_gently();
        }
        if let Some(listener) = self.parts.monitor.as_ref().filter(|_| has_monitor) {
            listener.set_lent(true);
        }
        self.parts.dispatcher.send(Request::GiveAway(Some(adopted)));
        self.apply(Event::HandOver);
    }

    /// The heir is gone: everything is this master's alone again.
    fn reclaim(&mut self) {
        self.lend(false);
        self.parts.pids.remove_dead_workers();
        self.answer_commands();
        if let Some(monitor) = &self.parts.monitor {
            monitor.set_lent(false);
        }
        if self.monitor.is_none() {
            self.start_monitor();
        }
        self.tell_holder_own();
        self.parts.notifier.take_over(&self.parts.supervisor);
    }

    fn tell_holder_own(&self) {
        if let Some(holder) = &self.parts.holder
            && let Err(error) = holder::tell_own(holder)
        {
            tracing::error!(%error, "the holder does not learn who is master");
        }
    }

    fn announce_step(&mut self, step: &Step) {
        let Some(running) = self.running_mut() else { return };
        match step {
            Step::Progress { ready, target } => {
                (running.ready, running.target) = (*ready, *target);
            }
            Step::TookOver => tracing::info!(pid = running.heir.pid, "another master took over"),
        }
    }

    fn finish_upgrade(&mut self, result: std::result::Result<(), String>) {
        let Some(Upgrade { reply, warning, stage: Stage::Running(running) }) = self.upgrade.take()
        else {
            return;
        };
        let Running { heir, link, holder, addresses, .. } = *running;
        if let Err(reason) = result {
            // Where the process that was started had not become it, somebody may still listen.
            link.send(print(&ToHeir::GiveUp { ending: false, abrupt: false }), None);
            return self.fail_upgrade(reply, &reason);
        }
        let is_held = holder.is_some() || self.parts.holder.is_some();
        if !heir.has_ended {
            holder::plan(heir.pid, &heir.pidfd, holder);
            if !is_held {
                self.parts.notifier.hand_over(heir.pid);
            }
        }
        let closed = addresses.into_iter().map(|(_, address)| address).collect();
        let has_ended = heir.has_ended;
        let pid = heir.pid;
        self.farewell = Some(Farewell { pid, has_ended, closed, warning, link, reply });
    }
}
