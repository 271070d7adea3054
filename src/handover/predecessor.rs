//! The part of the master that is replaced.

use crate::clock::{Clock, MAX_WAIT, Millis};
use crate::handover::predecessor_messages::{PredecessorAction, PredecessorEvent, Step};
use crate::protocol::ListenerId;
use crate::protocol::handover::{FromHeir, PROTOCOL, ToHeir};
use crate::protocol::worker::Exit;

/// How long an heir whose workers are ready may take to answer commands, milliseconds.
const TAKE_OVER_WITHIN: Millis = 5_000;
/// How long an heir may take to end after a request or a signal, beyond the drain of its workers.
const END_WITHIN: Millis = 5_000;

#[derive(Debug, Clone, PartialEq, Eq)]
enum PredecessorState {
    /// The heir starts its workers.
    Starting {
        until: Millis,
    },
    /// The heir is about to answer commands.
    TakingOver {
        adopted: Vec<ListenerId>,
        until: Millis,
    },
    /// It is called off; the heir is on its way out. Without a reason, its end will be the reason.
    CalledOff {
        reason: Option<String>,
        next: Force,
        until: Millis,
    },
    /// The workers drain. `leaving`: the heir ends on purpose.
    SteppedDown {
        leaving: bool,
    },
    Over,
}

/// What an heir gets that does not end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Force {
    Terminate,
    Kill,
    Nothing,
}

/// One upgrade, in the master that is replaced.
#[derive(Debug)]
pub(crate) struct Predecessor {
    state: PredecessorState,
    /// The process that was started.
    heir: u32,
    /// Whether the heir has said anything.
    has_heard: bool,
    /// How long a drain takes at most.
    drain_within: Millis,
    timeout: Millis,
    /// All times here are of this clock: an upgrade misses no deadline while it is stopped.
    clock: Clock,
    actions: Vec<PredecessorAction>,
}

impl Predecessor {
    /// `heir`, a process, was started at `machine` on the machine's monotonic clock, and has to be
    /// ready within `timeout`. `drain_within`: how long its workers may take for what they have, if
    /// it is called off.
    pub(crate) fn begin(heir: u32, machine: Millis, timeout: Millis, drain_within: Millis) -> Self {
        let mut clock = Clock::default();
        let state =
            PredecessorState::Starting { until: clock.turn(machine).saturating_add(timeout) };
        clock.wait(machine, MAX_WAIT);
        let actions = Vec::new();
        Self { state, heir, has_heard: false, drain_within, timeout, clock, actions }
    }

    /// Takes one event, at `machine` on the machine's clock. Returns what to do, in order.
    pub(crate) fn on_event(
        &mut self,
        event: PredecessorEvent,
        machine: Millis,
    ) -> Vec<PredecessorAction> {
        let now = self.clock.turn(machine);
        match event {
            PredecessorEvent::Message(message) => self.on_message(message, now),
            PredecessorEvent::Closed => self.on_closed(now),
            PredecessorEvent::Exited { exit, lines } => self.on_exited(exit, &lines),
            PredecessorEvent::Cancel { reason, abrupt } if self.may_be_undone() => {
                self.call_off_by(ToHeir::GiveUp { ending: true, abrupt }, reason, now);
            }
            PredecessorEvent::Cancel { abrupt: true, .. } if self.is_called_off() => {
                self.send(ToHeir::GiveUp { ending: true, abrupt: true });
            }
            PredecessorEvent::Drained if self.has_stepped_down() => self.finish(Ok(())),
            PredecessorEvent::Tick => self.on_tick(now),
            PredecessorEvent::Cancel { .. } | PredecessorEvent::Drained => {}
        }
        self.clock.wait(machine, if self.until().is_some() { MAX_WAIT } else { Millis::MAX });
        std::mem::take(&mut self.actions)
    }

    /// When to send `Tick`, on the machine's clock. With a deadline that is soon and often, so that
    /// the clock notices when this master stands still.
    pub(crate) fn next_tick(&self) -> Option<Millis> {
        let at = self.clock.on_machine(self.until()?);
        Some(self.clock.due().map_or(at, |due| at.min(due)))
    }

    /// The deadline of the present state, on our clock.
    pub(super) fn until(&self) -> Option<Millis> {
        match &self.state {
            PredecessorState::Starting { until } | PredecessorState::TakingOver { until, .. } => {
                Some(*until)
            }
            PredecessorState::CalledOff { next: Force::Nothing, .. } => None,
            PredecessorState::CalledOff { until, .. } => Some(*until),
            PredecessorState::SteppedDown { .. } | PredecessorState::Over => None,
        }
    }

    /// Whether the heir has everything, and this master's workers only drain.
    pub(crate) fn has_stepped_down(&self) -> bool {
        matches!(self.state, PredecessorState::SteppedDown { .. })
    }

    /// Whether the heir was told to end, and has not ended yet.
    pub(crate) fn is_called_off(&self) -> bool {
        matches!(self.state, PredecessorState::CalledOff { .. })
    }

    #[cfg(test)]
    pub(super) fn is_over(&self) -> bool {
        self.state == PredecessorState::Over
    }

    /// Whether the heir has said anything, so that it ends by itself if this master does.
    pub(crate) fn has_heard(&self) -> bool {
        self.has_heard
    }

    /// Where it is, as a status shows it.
    pub(crate) fn word(&self) -> &'static str {
        match self.state {
            PredecessorState::Starting { .. } => "starting",
            PredecessorState::TakingOver { .. } => "taking over",
            PredecessorState::CalledOff { .. } => "called off",
            PredecessorState::SteppedDown { .. } | PredecessorState::Over => "draining",
        }
    }

    fn may_be_undone(&self) -> bool {
        matches!(
            self.state,
            PredecessorState::Starting { .. } | PredecessorState::TakingOver { .. }
        )
    }

    fn on_message(&mut self, message: FromHeir, now: Millis) {
        self.has_heard = true;
        match (message, &mut self.state) {
            (FromHeir::Hello { protocol, version, .. }, PredecessorState::Starting { .. })
                if protocol != PROTOCOL =>
            {
                let reason = format!(
                    "cluster2-rs {version} hands over by another protocol ({protocol}, here \
                     {PROTOCOL}): restart instead"
                );
                self.call_off(reason, now);
            }
            // Its end would not be seen, and nobody would signal it.
            (FromHeir::Hello { pid: pid @ 1.., .. }, PredecessorState::Starting { .. })
                if pid != self.heir =>
            {
                let reason = format!(
                    "the new master is process {pid}, behind process {} that was started: a script \
                     has to start it with exec",
                    self.heir
                );
                self.call_off(reason, now);
            }
            (FromHeir::Progress { ready, target }, PredecessorState::Starting { .. }) => {
                self.actions.push(PredecessorAction::Announce(Step::Progress { ready, target }));
            }
            (FromHeir::Ready { adopted }, PredecessorState::Starting { .. }) => {
                self.send(ToHeir::TakeOver);
                self.state =
                    PredecessorState::TakingOver { adopted, until: now + TAKE_OVER_WITHIN };
            }
            (
                FromHeir::TookOver { monitor, pids },
                PredecessorState::TakingOver { adopted, .. },
            ) => {
                let adopted = std::mem::take(adopted);
                self.state = PredecessorState::SteppedDown { leaving: false };
                // First: without a worker, this master ends as it steps down.
                self.send(ToHeir::Commit);
                self.actions.push(PredecessorAction::StepDown { adopted, monitor, pids });
                self.actions.push(PredecessorAction::Announce(Step::TookOver));
            }
            (
                FromHeir::Refused { reason },
                PredecessorState::Starting { .. } | PredecessorState::TakingOver { .. },
            ) => {
                self.call_off(reason, now);
            }
            (FromHeir::Leaving, PredecessorState::SteppedDown { leaving }) => {
                *leaving = true;
                self.actions.push(PredecessorAction::Keep);
            }
            _ => {}
        }
    }

    fn on_closed(&mut self, now: Millis) {
        if self.may_be_undone() {
            let until = now + END_WITHIN;
            self.state =
                PredecessorState::CalledOff { reason: None, next: Force::Terminate, until };
        }
    }

    fn on_exited(&mut self, exit: Option<Exit>, lines: &[String]) {
        let how = exit.map_or_else(|| "has ended".to_owned(), Exit::describe);
        let how = format!("the new master {how}{}", describe(lines));
        match &self.state {
            PredecessorState::Starting { .. } | PredecessorState::TakingOver { .. } => {
                self.actions.push(PredecessorAction::Reclaim);
                self.finish(Err(how));
            }
            PredecessorState::CalledOff { reason: None, .. } => {
                self.actions.push(PredecessorAction::Reclaim);
                self.finish(Err(how));
            }
            PredecessorState::CalledOff { reason: Some(reason), .. } => {
                let lines = if self.has_heard { String::new() } else { describe(lines) };
                let reason = format!("{reason}{lines}");
                self.actions.push(PredecessorAction::Reclaim);
                self.finish(Err(reason));
            }
            PredecessorState::SteppedDown { leaving: false } => {
                self.actions.push(PredecessorAction::Reclaim);
                self.actions.push(PredecessorAction::Return);
                self.finish(Err(format!("{how}, and the old one runs again")));
            }
            PredecessorState::SteppedDown { leaving: true } => {
                self.actions.push(PredecessorAction::OutliveHeir);
            }
            PredecessorState::Over => {}
        }
    }

    fn on_tick(&mut self, now: Millis) {
        if self.until().is_none_or(|until| until > now) {
            return;
        }
        match &mut self.state {
            PredecessorState::Starting { .. } => {
                let seconds = self.timeout as f64 / 1_000.0;
                self.call_off(format!("the new master was not ready within {seconds} s"), now);
            }
            PredecessorState::TakingOver { .. } => {
                let seconds = TAKE_OVER_WITHIN / 1_000;
                let reason = format!("the new master did not take over within {seconds} s");
                self.call_off(reason, now);
            }
            PredecessorState::CalledOff { next, until, .. } => {
                *until = now + END_WITHIN;
                match std::mem::replace(next, Force::Nothing) {
                    Force::Terminate => {
                        *next = Force::Kill;
                        self.actions.push(PredecessorAction::Terminate);
                    }
                    Force::Kill => self.actions.push(PredecessorAction::Kill),
                    Force::Nothing => {}
                }
            }
            PredecessorState::SteppedDown { .. } | PredecessorState::Over => {}
        }
    }

    fn call_off(&mut self, reason: String, now: Millis) {
        self.call_off_by(ToHeir::GiveUp { ending: false, abrupt: false }, reason, now);
    }

    /// Has the heir end. One that has said nothing may not even be a master.
    fn call_off_by(&mut self, message: ToHeir, reason: String, now: Millis) {
        self.send(message);
        let (next, wait) = if self.has_heard {
            (Force::Terminate, self.drain_within.saturating_add(END_WITHIN))
        } else {
            self.actions.push(PredecessorAction::Terminate);
            (Force::Kill, END_WITHIN)
        };
        let until = now.saturating_add(wait);
        self.state = PredecessorState::CalledOff { reason: Some(reason), next, until };
    }

    fn send(&mut self, message: ToHeir) {
        self.actions.push(PredecessorAction::Send(message));
    }

    fn finish(&mut self, result: Result<(), String>) {
        self.state = PredecessorState::Over;
        self.actions.push(PredecessorAction::Finish(result));
    }
}

/// Returns the last lines of an heir, to be appended to a sentence.
fn describe(lines: &[String]) -> String {
    if lines.is_empty() {
        String::new()
    } else {
        format!("; its last lines:\n{}", lines.join("\n"))
    }
}
