//! Each of the two alone: what it does at each step.

use crate::handover::predecessor::Predecessor;
use crate::handover::predecessor_messages::{PredecessorAction, PredecessorEvent, Step};
use crate::handover::{Heir, HeirAction, HeirEvent};
use crate::protocol::handover::{FromHeir, PROTOCOL, ToHeir};
use crate::protocol::worker::Exit;

const TIMEOUT: u64 = 60_000;
const DRAIN: u64 = 10_000;
const GIVE_UP: ToHeir = ToHeir::GiveUp { ending: false, abrupt: false };

fn begun() -> Predecessor {
    Predecessor::begin(7, 0, TIMEOUT, DRAIN)
}

fn hello() -> FromHeir {
    FromHeir::Hello { protocol: PROTOCOL, version: "1.0.0".into(), pid: 7 }
}

fn took_over() -> FromHeir {
    FromHeir::TookOver { monitor: true, pids: true }
}

fn hear(predecessor: &mut Predecessor, message: FromHeir) -> Vec<PredecessorAction> {
    predecessor.on_event(PredecessorEvent::Message(message), 10)
}

/// Lets the time pass from `from` to `to`, with the ticks that it asks for. Returns all actions.
fn pass(predecessor: &mut Predecessor, from: u64, to: u64) -> Vec<PredecessorAction> {
    let mut now = from;
    let mut actions = Vec::new();
    while let Some(at) = predecessor.next_tick().filter(|at| *at <= to) {
        now = now.max(at);
        actions.extend(predecessor.on_event(PredecessorEvent::Tick, now));
    }
    actions
}

fn stepped_down() -> Predecessor {
    let mut predecessor = begun();
    hear(&mut predecessor, hello());
    hear(&mut predecessor, FromHeir::Ready { adopted: vec![1, 2] });
    hear(&mut predecessor, took_over());
    predecessor
}

fn exited(lines: &[&str]) -> PredecessorEvent {
    let lines = lines.iter().map(|line| (*line).to_owned()).collect();
    PredecessorEvent::Exited { exit: Some(Exit::Code(1)), lines }
}

#[test]
fn a_predecessor_steps_down_only_after_its_heir_answers_commands() {
    let mut predecessor = begun();
    assert_eq!(hear(&mut predecessor, hello()), []);
    assert_eq!(
        hear(&mut predecessor, FromHeir::Progress { ready: 1, target: 2 }),
        [PredecessorAction::Announce(Step::Progress { ready: 1, target: 2 })]
    );
    assert_eq!(hear(&mut predecessor, took_over()), [], "nobody asked it to");
    assert_eq!(
        hear(&mut predecessor, FromHeir::Ready { adopted: vec![1, 2] }),
        [PredecessorAction::Send(ToHeir::TakeOver)]
    );
    assert_eq!(
        hear(&mut predecessor, took_over()),
        [
            PredecessorAction::Send(ToHeir::Commit),
            PredecessorAction::StepDown { adopted: vec![1, 2], monitor: true, pids: true },
            PredecessorAction::Announce(Step::TookOver),
        ]
    );
    assert_eq!(
        predecessor.on_event(PredecessorEvent::Drained, 20),
        [PredecessorAction::Finish(Ok(()))]
    );
    assert!(predecessor.is_over());
}

#[test]
fn an_heir_that_ends_early_is_reported_with_its_last_lines() {
    let mut predecessor = begun();
    let actions = predecessor.on_event(exited(&["Error: broken", "    at app.js:1"]), 5);
    let reason =
        "the new master exited with code 1; its last lines:\nError: broken\n    at app.js:1";
    assert_eq!(
        actions,
        [PredecessorAction::Reclaim, PredecessorAction::Finish(Err(reason.into()))]
    );
}

#[test]
fn an_heir_that_goes_silent_is_reported_by_its_end() {
    let mut predecessor = begun();
    hear(&mut predecessor, hello());
    assert_eq!(predecessor.on_event(PredecessorEvent::Closed, 20), []);
    assert_eq!(predecessor.until(), Some(5_020), "it ends at once, or is told to");
    let actions = predecessor.on_event(exited(&[]), 30);
    let reason = "the new master exited with code 1".to_owned();
    assert_eq!(actions, [PredecessorAction::Reclaim, PredecessorAction::Finish(Err(reason))]);
}

#[test]
fn an_heir_that_never_spoke_is_terminated_and_killed() {
    let mut predecessor = begun();
    assert_eq!(pass(&mut predecessor, 0, TIMEOUT - 1), []);
    assert_eq!(
        pass(&mut predecessor, TIMEOUT - 1, TIMEOUT),
        [PredecessorAction::Send(GIVE_UP), PredecessorAction::Terminate]
    );
    assert_eq!(pass(&mut predecessor, TIMEOUT, TIMEOUT + 4_999), []);
    let kill = pass(&mut predecessor, TIMEOUT + 4_999, TIMEOUT + 5_000);
    assert_eq!(kill, [PredecessorAction::Kill]);
    assert_eq!(predecessor.until(), None, "only the kernel's report of its end is left");
    let exit = Some(Exit::Signal("SIGKILL"));
    let exit = PredecessorEvent::Exited { exit, lines: Vec::new() };
    let reason = "the new master was not ready within 60 s".to_owned();
    assert_eq!(
        predecessor.on_event(exit, TIMEOUT + 5_010),
        [PredecessorAction::Reclaim, PredecessorAction::Finish(Err(reason))]
    );
}

#[test]
fn an_upgrade_that_was_stopped_with_its_heir_goes_on_where_it_was() {
    let mut predecessor = begun();
    hear(&mut predecessor, hello());
    // The machine is stopped for two minutes, first while the heir starts.
    assert_eq!(predecessor.on_event(PredecessorEvent::Tick, 120_010), []);
    let ready = PredecessorEvent::Message(FromHeir::Ready { adopted: vec![1] });
    let actions = predecessor.on_event(ready, 120_200);
    assert_eq!(actions, [PredecessorAction::Send(ToHeir::TakeOver)]);
    assert_eq!(predecessor.on_event(PredecessorEvent::Tick, 240_200), [], "then as it takes over");
    let step = predecessor.on_event(PredecessorEvent::Message(took_over()), 240_300);
    assert_eq!(step.len(), 3, "{step:?}");
}

#[test]
fn an_heir_that_is_called_off_and_was_stopped_has_time_to_drain() {
    let mut predecessor = begun();
    hear(&mut predecessor, hello());
    hear(&mut predecessor, FromHeir::Refused { reason: "no".into() });
    assert_eq!(predecessor.on_event(PredecessorEvent::Tick, 120_000), []);
    let left = pass(&mut predecessor, 120_000, 120_000 + DRAIN + 5_000);
    assert_eq!(left, [PredecessorAction::Terminate]);
}

#[test]
fn an_heir_that_spoke_has_time_to_give_its_connections_back() {
    for message in [FromHeir::Refused { reason: "no".into() }, took_over()] {
        let mut predecessor = begun();
        hear(&mut predecessor, hello());
        hear(&mut predecessor, message.clone());
        if message == took_over() {
            predecessor
                .on_event(PredecessorEvent::Cancel { reason: "it ends".into(), abrupt: false }, 10);
        }
        let at = 10 + DRAIN + 5_000;
        assert_eq!(pass(&mut predecessor, 10, at - 1), []);
        assert_eq!(pass(&mut predecessor, at - 1, at), [PredecessorAction::Terminate]);
    }
}

#[test]
fn an_heir_of_another_protocol_is_refused() {
    let mut predecessor = begun();
    let hello = FromHeir::Hello { protocol: 2, version: "9.0.0".into(), pid: 7 };
    let actions = hear(&mut predecessor, hello);
    assert_eq!(actions, [PredecessorAction::Send(GIVE_UP)]);
}

#[test]
fn a_predecessor_returns_if_its_heir_dies_but_not_if_it_ends_on_purpose() {
    let mut predecessor = stepped_down();
    let actions = predecessor.on_event(exited(&[]), 30);
    assert_eq!(actions[..2], [PredecessorAction::Reclaim, PredecessorAction::Return]);
    let mut predecessor = stepped_down();
    assert_eq!(hear(&mut predecessor, FromHeir::Leaving), [PredecessorAction::Keep]);
    assert_eq!(predecessor.on_event(exited(&[]), 30), [PredecessorAction::OutliveHeir]);
    let end = predecessor.on_event(PredecessorEvent::Drained, 40);
    assert_eq!(end, [PredecessorAction::Finish(Ok(()))]);
}

#[test]
fn a_cancel_comes_too_late_after_the_commit() {
    let mut predecessor = stepped_down();
    let cancel = PredecessorEvent::Cancel { reason: "it ends".into(), abrupt: false };
    assert_eq!(predecessor.on_event(cancel, 20), []);
}

#[test]
fn an_heir_owns_the_sockets_after_the_commit() {
    let mut heir = Heir::new();
    let progress = HeirEvent::Progress { ready: 1, target: 2 };
    assert_eq!(
        heir.on_event(progress.clone()),
        [HeirAction::Send(FromHeir::Progress { ready: 1, target: 2 })]
    );
    assert_eq!(heir.on_event(progress), [], "nothing new");
    let settled = HeirEvent::Settled { adopted: vec![4] };
    assert_eq!(
        heir.on_event(settled.clone()),
        [HeirAction::Send(FromHeir::Ready { adopted: vec![4] })]
    );
    assert_eq!(heir.on_event(settled), [], "once");
    assert_eq!(heir.on_event(HeirEvent::Message(ToHeir::Commit)), [], "not asked yet");
    assert_eq!(heir.on_event(HeirEvent::Message(ToHeir::TakeOver)), [HeirAction::TakeCharge]);
    assert_eq!(
        heir.on_event(HeirEvent::InCharge { monitor: true, pids: true }),
        [HeirAction::Send(took_over())]
    );
    assert!(heir.is_on_trial());
    assert_eq!(
        heir.on_event(HeirEvent::Message(ToHeir::Commit)),
        [HeirAction::Own { alone: false }]
    );
    assert_eq!(heir.on_event(HeirEvent::Lost { reason: "crash".into() }), []);
    assert_eq!(heir.on_event(HeirEvent::Message(GIVE_UP)), [], "too late");
    assert_eq!(
        heir.on_event(HeirEvent::Ending),
        [HeirAction::Send(FromHeir::Leaving), HeirAction::OwnAlone]
    );
}

#[test]
fn an_heir_that_loses_a_worker_gives_everything_back() {
    let mut heir = Heir::new();
    let lost = HeirEvent::Lost { reason: "worker 5 exited with code 1".into() };
    let refused = FromHeir::Refused { reason: "worker 5 exited with code 1".into() };
    assert_eq!(heir.on_event(lost.clone()), [HeirAction::Send(refused), HeirAction::GiveBack]);
    assert_eq!(heir.on_event(lost), [], "its workers end now");
    assert_eq!(heir.on_event(HeirEvent::Closed), [HeirAction::Forget]);
}

#[test]
fn an_heir_in_charge_steps_back_when_it_is_called_off() {
    let mut heir = Heir::new();
    heir.on_event(HeirEvent::Settled { adopted: Vec::new() });
    heir.on_event(HeirEvent::Message(ToHeir::TakeOver));
    assert_eq!(
        heir.on_event(HeirEvent::Message(GIVE_UP)),
        [HeirAction::StepBack, HeirAction::GiveBack]
    );
}

#[test]
fn an_heir_whose_predecessor_dies_goes_on_alone() {
    let mut heir = Heir::new();
    assert_eq!(
        heir.on_event(HeirEvent::Closed),
        [HeirAction::TakeCharge, HeirAction::Own { alone: true }, HeirAction::Forget]
    );
}

#[test]
fn an_heir_whose_predecessor_ends_keeps_its_connections() {
    let mut heir = Heir::new();
    let give_up = |abrupt| HeirEvent::Message(ToHeir::GiveUp { ending: true, abrupt });
    assert_eq!(heir.on_event(give_up(false)), [HeirAction::End { abrupt: false }]);
    assert_eq!(heir.on_event(give_up(false)), [], "it ends already");
    assert_eq!(heir.on_event(give_up(true)), [HeirAction::End { abrupt: true }]);
}

#[test]
fn an_heir_that_is_another_process_than_was_started_is_refused() {
    let mut predecessor = begun();
    let hello = FromHeir::Hello { protocol: PROTOCOL, version: "1.0.0".into(), pid: 8 };
    let actions = hear(&mut predecessor, hello);
    assert_eq!(actions, [PredecessorAction::Send(GIVE_UP)]);
}
