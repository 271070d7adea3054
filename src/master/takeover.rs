//! This master takes over from another one: what the state machine of `handover` decides is
//! executed here.
//!
//! What always holds: until the commit, this master has workers that serve, and nothing else: the
//! predecessor answers commands and the monitor, and is what the service manager knows.

use tokio::sync::oneshot;

use super::handover_link::HandoverLink;
use super::inbox::{Input, PredecessorNews};
use super::takeover_state::{Heirloom, Takeover};
use super::task::Task;
use crate::clock::MAX_WAIT;
use crate::dispatcher::Request;
use crate::embedder::MasterEvent;
use crate::handover::{Heir, HeirAction, HeirEvent};
use crate::os::{self, thread};
use crate::protocol::handover::{FromHeir, print, shorten, to_heir};
use crate::protocol::status::UpgradeStatus;
use crate::supervision::{Event, LOOK_AFTER};

impl Task {
    /// Begins to take over. Must be called on the supervisor's runtime.
    pub(super) fn inherit(&mut self, Heirloom { messages, legacy }: Heirloom) {
        self.inherited = legacy.totals;
        let inputs = self.parts.inputs.clone();
        let read = move |message: Option<&[u8]>| {
            let news = match message {
                Some(message) => to_heir(message, 0).map(Box::new).map(PredecessorNews::Message),
                None => Some(PredecessorNews::Closed),
            };
            if let Some(news) = news {
                inputs.send(Input::Predecessor(news));
            }
        };
        match HandoverLink::start(messages, read) {
            Ok(link) => {
                let rows = legacy.rows.iter().map(|row| *row as usize);
                let rows = rows.filter_map(|row| self.free_rows.take(&row)).collect();
                self.parts.board.header().set_on_trial(true);
                self.takeover = Some(Takeover {
                    machine: Heir::new(),
                    link,
                    version: legacy.version,
                    predecessor: match legacy.pid {
                        0 => std::os::unix::process::parent_id(),
                        pid => pid,
                    },
                    is_asked: false,
                    look_at: None,
                    rows,
                    draining: 0,
                });
            }
            // The predecessor sees its end, and goes on.
            Err(error) => tracing::error!(%error, "cannot hear the former master"),
        }
    }

    /// Whether the former master may still go on instead of this one.
    pub(super) fn is_on_trial(&self) -> bool {
        self.takeover.as_ref().is_some_and(|takeover| takeover.machine.is_on_trial())
    }

    pub(super) fn on_predecessor(&mut self, news: PredecessorNews) {
        self.advance_takeover(match news {
            PredecessorNews::Message(message) => HeirEvent::Message(*message),
            PredecessorNews::Closed => HeirEvent::Closed,
        });
    }

    /// Feeds the state machine, and executes its actions.
    pub(super) fn advance_takeover(&mut self, event: HeirEvent) {
        let Some(takeover) = &mut self.takeover else { return };
        let actions = takeover.machine.on_event(event);
        self.parts.board.header().set_on_trial(takeover.machine.is_on_trial());
        for action in actions {
            self.execute_takeover(action);
        }
    }

    /// Tells the predecessor how far the workers are. Called after each event.
    pub(super) fn follow_takeover(&mut self) {
        let loss = self.parts.supervisor.take_loss();
        if !self.is_on_trial() {
            return;
        }
        if let Some(reason) = loss {
            return self.advance_takeover(HeirEvent::Lost { reason });
        }
        let ready = self.parts.supervisor.ready_workers().count() as u32;
        let target = self.parts.supervisor.target();
        self.advance_takeover(HeirEvent::Progress { ready, target });
        if self.are_all_settled()
            && let Some(takeover) = &mut self.takeover
            && takeover.machine.is_starting()
            && !std::mem::replace(&mut takeover.is_asked, true)
        {
            let (reply, adopted) = oneshot::channel();
            self.parts.dispatcher.send(Request::ListAdopted(reply));
            let inputs = self.parts.inputs.clone();
            thread::task("listing what is served", async move {
                // An error means that the dispatcher has ended, and this cluster with it.
                if let Ok(adopted) = adopted.await {
                    inputs.send(Input::Adopted(adopted));
                }
            });
        }
    }

    /// Whether all workers have been ready for long enough, and their event loops have turned
    /// since. Asks them to show that, and looks again soon.
    fn are_all_settled(&mut self) -> bool {
        let now = os::now();
        let is_over = self.parts.supervisor.settles_at().is_some_and(|at| at <= now);
        let silent = self.parts.supervisor.silent_workers();
        let Some(takeover) = &mut self.takeover else { return false };
        if !is_over || silent.is_empty() {
            takeover.look_at = None;
            return is_over;
        }
        let wait = match takeover.look_at {
            Some(at) if at > now => return false,
            Some(_) => MAX_WAIT,
            None => {
                for worker in silent {
                    self.parts.dispatcher.send(Request::Beat(worker));
                }
                LOOK_AFTER
            }
        };
        takeover.look_at = Some(now + wait);
        false
    }

    /// Whether the next deadline needs a sample before it.
    pub(super) fn awaits_beats(&self) -> bool {
        self.takeover.as_ref().is_some_and(|takeover| takeover.look_at.is_some())
    }

    pub(super) fn on_adopted(&mut self, adopted: Vec<u32>) {
        self.advance_takeover(HeirEvent::Settled { adopted });
    }

    /// When the workers will have been ready for long enough.
    pub(super) fn takeover_deadline(&self) -> Option<u64> {
        let takeover = self.takeover.as_ref()?;
        let waits = takeover.machine.is_starting() && !takeover.is_asked;
        waits.then(|| takeover.look_at.or_else(|| self.parts.supervisor.settles_at()))?
    }

    fn execute_takeover(&mut self, action: HeirAction) {
        let Some(takeover) = &mut self.takeover else { return };
        match action {
            HeirAction::Send(message) => takeover.link.send(print(&message), None),
            HeirAction::TakeCharge => self.take_charge(),
            HeirAction::StepBack => {
                self.control.pause();
                self.parts.pids.step_back();
                self.monitor = None;
            }
            HeirAction::Own { alone } => self.own(alone),
            HeirAction::OwnAlone => self.own_sockets(),
            HeirAction::GiveBack => {
                self.parts.dispatcher.send(Request::GiveAway(None));
                self.apply(Event::HandOver);
            }
            HeirAction::End { abrupt } => {
                self.parts.board.header().leave(os::wall());
                self.apply(if abrupt { Event::Stop } else { Event::Shutdown });
            }
            HeirAction::Switch { disabled, by } => self.switched_by_other_master(disabled, by),
            HeirAction::Count { totals, workers } => {
                takeover.draining = workers;
                self.inherited = totals;
            }
            HeirAction::Forget => {
                tracing::info!("the former master has nothing left");
                let is_owner = takeover.machine.is_owner();
                self.free_rows.append(&mut takeover.rows);
                self.takeover = None;
                // Until now it would have gone on with the sockets if this master had died, and was
                // the main process.
                self.parts.board.header().lend_sockets(false);
                if is_owner {
                    self.own_sockets();
                    self.parts.notifier.take_over(&self.parts.supervisor);
                }
            }
        }
    }

    /// From now on commands and the monitor's clients come here.
    fn take_charge(&mut self) {
        let pids = !self.parts.pids.is_in_charge();
        if pids {
            self.answer_commands();
        }
        self.start_monitor();
        let monitor = self.parts.monitor.as_ref().is_some_and(|monitor| monitor.is_lent());
        self.advance_takeover(HeirEvent::InCharge { monitor, pids });
    }

    /// Commands of the directory's control socket come here from now on.
    pub(super) fn answer_commands(&mut self) {
        let (control, problem) = self.parts.pids.take_charge();
        match control {
            Ok(control) => self.control.renew(control),
            Err(error) => self.warn(error.message()),
        }
        if let Some(error) = problem {
            self.warn(error.message());
        }
    }

    /// The sockets are this master's alone.
    fn own_sockets(&self) {
        self.parts.dispatcher.send(Request::Own { alone: true });
        if let Some(monitor) = &self.parts.monitor {
            monitor.set_lent(false);
        }
    }

    /// It has taken over. Nothing is done to the sockets yet that would outlive it: if it ends
    /// before the predecessor does, that one serves again.
    fn own(&mut self, alone: bool) {
        self.parts.dispatcher.send(Request::Own { alone: false });
        let Some(takeover) = &self.takeover else { return };
        let (pid, version) = (takeover.predecessor, takeover.version.clone());
        self.emit(MasterEvent::Takeover { pid, version });
        if alone {
            self.warn(format!("master {pid} died before it had handed over; this one goes on"));
        }
    }

    /// The health check was switched at the other master.
    pub(super) fn switched_by_other_master(&mut self, disabled: bool, by: String) {
        if self.parts.board.header().switch(disabled, os::wall()) {
            self.apply(Event::Switched { disabled, by });
        }
    }

    /// Tells the other master of a switch of the health check here.
    pub(super) fn tell_predecessor_switched(&self, disabled: bool, by: &str) {
        if let Some(takeover) = &self.takeover {
            let switched = FromHeir::Switched { disabled, by: shorten(by) };
            takeover.link.send(print(&switched), None);
        }
    }

    pub(super) fn takeover_status(&self) -> Option<UpgradeStatus> {
        let takeover = self.takeover.as_ref()?;
        let state = if takeover.machine.is_on_trial() { "starting" } else { "draining" };
        Some(UpgradeStatus {
            pid: takeover.predecessor,
            state,
            ready: 0,
            target: 0,
            draining: takeover.draining,
            warning: None,
        })
    }

    /// Says why this master does not take over, before it ends with its start.
    pub(super) fn refuse_takeover(&mut self, reason: &str) {
        self.advance_takeover(HeirEvent::Lost { reason: reason.to_owned() });
        self.last_words = self.takeover.as_ref().map(|takeover| takeover.link.flush());
    }
}
