//! The part of the master that takes over.

use crate::protocol::ListenerId;
use crate::protocol::carried_totals::CarriedTotals;
use crate::protocol::handover::{FromHeir, ToHeir, shorten};

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum HeirEvent {
    /// So many workers are ready, and not for long enough yet.
    Progress { ready: u32, target: u32 },
    /// All workers have been ready for `minReadyTime`. They serve these listeners of the
    /// predecessor.
    Settled { adopted: Vec<ListenerId> },
    /// A worker ended, or did not start.
    Lost { reason: String },
    /// This cluster is asked to end.
    Ending,
    /// The predecessor said something.
    Message(ToHeir),
    /// It is in charge, as `TakeCharge` asked. `monitor`, `pids`: it has the predecessor's monitor
    /// and control socket too.
    InCharge { monitor: bool, pids: bool },
    /// The predecessor is gone.
    Closed,
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum HeirAction {
    /// Say something to the predecessor.
    Send(FromHeir),
    /// Answer commands and the monitor.
    TakeCharge,
    /// Leave commands to the predecessor again.
    StepBack,
    /// It has taken over: tell the users. `alone`: the predecessor died.
    Own { alone: bool },
    /// Nobody goes on with the sockets after this master: it ends on purpose.
    OwnAlone,
    /// Give all connections to the predecessor, and end.
    GiveBack,
    /// End as in a shutdown, or at once: the predecessor ends too.
    End { abrupt: bool },
    /// The health check was switched by the predecessor's commands.
    Switch { disabled: bool, by: String },
    /// What the predecessor counted, and how many of its workers are left.
    Count { totals: CarriedTotals, workers: u32 },
    /// The predecessor has nothing left, or is gone.
    Forget,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HeirState {
    /// The workers start. `last`: how many were ready when that was last said.
    Starting { last: u32 },
    /// All are ready, and the predecessor knows.
    Ready,
    /// It answers commands, and may still have to step back.
    InCharge,
    /// It has taken over.
    Owner,
    /// It was called off, or has refused.
    GivenUp,
}

/// One take-over, in the master that takes over.
#[derive(Debug)]
pub(crate) struct Heir {
    state: HeirState,
    /// Whether it ends on purpose, after it took charge.
    is_leaving: bool,
    actions: Vec<HeirAction>,
}

impl Heir {
    pub(crate) fn new() -> Self {
        Self { state: HeirState::Starting { last: 0 }, is_leaving: false, actions: Vec::new() }
    }

    /// Whether the predecessor may still call it off.
    pub(crate) fn is_on_trial(&self) -> bool {
        matches!(self.state, HeirState::Starting { .. } | HeirState::Ready | HeirState::InCharge)
    }

    /// Whether its workers still have to prove themselves.
    pub(crate) fn is_starting(&self) -> bool {
        matches!(self.state, HeirState::Starting { .. })
    }

    /// Whether it has taken over.
    pub(crate) fn is_owner(&self) -> bool {
        self.state == HeirState::Owner
    }

    /// Takes one event. Returns what to do, in order.
    pub(crate) fn on_event(&mut self, event: HeirEvent) -> Vec<HeirAction> {
        match event {
            HeirEvent::Progress { ready, target } => self.on_progress(ready, target),
            HeirEvent::Settled { adopted } if self.is_starting() => {
                self.send(FromHeir::Ready { adopted });
                self.state = HeirState::Ready;
            }
            HeirEvent::Lost { reason }
                if matches!(self.state, HeirState::Starting { .. } | HeirState::Ready) =>
            {
                self.send(FromHeir::Refused { reason: shorten(&reason) });
                self.give_up();
            }
            HeirEvent::Ending => self.on_ending(),
            HeirEvent::Message(message) => self.on_message(message),
            HeirEvent::InCharge { monitor, pids } if self.state == HeirState::InCharge => {
                self.send(FromHeir::TookOver { monitor, pids });
            }
            HeirEvent::Closed => self.on_closed(),
            HeirEvent::InCharge { .. } | HeirEvent::Settled { .. } | HeirEvent::Lost { .. } => {}
        }
        std::mem::take(&mut self.actions)
    }

    fn on_progress(&mut self, ready: u32, target: u32) {
        if let HeirState::Starting { last } = &mut self.state
            && std::mem::replace(last, ready) != ready
        {
            self.send(FromHeir::Progress { ready, target });
        }
    }

    fn on_ending(&mut self) {
        match self.state {
            HeirState::Starting { .. } | HeirState::Ready => {
                let reason = "the new master was told to end".to_owned();
                self.send(FromHeir::Refused { reason });
                self.give_up();
            }
            // The predecessor may have stepped down by now.
            HeirState::InCharge | HeirState::Owner => {
                self.is_leaving = true;
                self.send(FromHeir::Leaving);
                self.own_alone();
            }
            HeirState::GivenUp => {}
        }
    }

    fn on_message(&mut self, message: ToHeir) {
        match (message, self.state) {
            (ToHeir::TakeOver, HeirState::Ready) => {
                self.actions.push(HeirAction::TakeCharge);
                self.state = HeirState::InCharge;
            }
            (ToHeir::Commit, HeirState::InCharge) => self.own(false),
            (ToHeir::GiveUp { ending: false, .. }, _) if self.is_on_trial() => self.give_up(),
            (ToHeir::GiveUp { abrupt, .. }, _) if self.is_on_trial() => {
                self.step_back();
                self.actions.push(HeirAction::End { abrupt });
            }
            (ToHeir::GiveUp { abrupt: true, .. }, HeirState::GivenUp) => {
                self.actions.push(HeirAction::End { abrupt: true });
            }
            (ToHeir::Switched { disabled, by }, _) => {
                self.actions.push(HeirAction::Switch { disabled, by });
            }
            (ToHeir::Counted { totals, workers }, _) => {
                self.actions.push(HeirAction::Count { totals, workers });
            }
            (ToHeir::Done, HeirState::Owner) => self.actions.push(HeirAction::Forget),
            _ => {}
        }
    }

    fn on_closed(&mut self) {
        match self.state {
            HeirState::Starting { .. } | HeirState::Ready => {
                self.actions.push(HeirAction::TakeCharge);
                self.own(true);
            }
            HeirState::InCharge => self.own(true),
            HeirState::Owner | HeirState::GivenUp => {}
        }
        self.actions.push(HeirAction::Forget);
    }

    fn own(&mut self, alone: bool) {
        self.state = HeirState::Owner;
        self.actions.push(HeirAction::Own { alone });
        self.own_alone();
    }

    fn own_alone(&mut self) {
        if self.is_leaving && self.state == HeirState::Owner {
            self.actions.push(HeirAction::OwnAlone);
        }
    }

    fn give_up(&mut self) {
        self.step_back();
        self.actions.push(HeirAction::GiveBack);
    }

    fn step_back(&mut self) {
        if self.state == HeirState::InCharge {
            self.actions.push(HeirAction::StepBack);
        }
        self.state = HeirState::GivenUp;
    }

    fn send(&mut self, message: FromHeir) {
        self.actions.push(HeirAction::Send(message));
    }
}
