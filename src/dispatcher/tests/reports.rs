//! Reports of any length and number: none is lost, and a worker that sends too many holds up only
//! itself.

use crate::config::Balance;
use crate::dispatcher::messages::{DispatcherEvent, Request};
use crate::dispatcher::tests::played::{Played, wanted};
use crate::dispatcher::tests::still::Still;
use crate::os::channel::MAX_BYTES;
use crate::protocol::frame::MasterFrame;
use crate::protocol::worker::{Exit, WorkerId};
use crate::protocol::{Order, Report, frame};

/// Sends `report(0)`, `report(1)` and so on, until the channel is full and nothing more is read.
/// Returns how many.
fn flood(still: &mut Still, worker: &Played, report: impl Fn(u32) -> Report) -> u32 {
    let mut sent = 0;
    while sent < 20_000 {
        let before = sent;
        while worker.orders.send(&frame::report(&report(sent)), &[]).is_ok() {
            sent += 1;
        }
        still.settle();
        if sent == before {
            return sent;
        }
    }
    panic!("the channel does not push back");
}

fn warning(number: u32) -> Report {
    Report::Warning { message: number.to_string() }
}

#[test]
fn a_report_longer_than_a_frame_is_read_and_what_comes_with_it_too() {
    let (mut still, [worker]) = Still::with_ready(Balance::RoundRobin);
    let _ = still.events();
    let sent = "x".repeat(10 * MAX_BYTES);
    for _ in 0..2 {
        still.report(&worker, &Report::Warning { message: sent.clone() });
        still.report(&worker, &Report::Leaving);
        let (_, DispatcherEvent::Report(Report::Warning { message }, _)) = still.event() else {
            panic!("the warning")
        };
        assert_eq!(message, sent);
        assert!(matches!(still.event().1, DispatcherEvent::Report(Report::Leaving, _)));
    }
}

#[test]
fn a_worker_that_floods_its_channel_is_read_only_as_its_reports_are_dealt_with_and_none_is_lost() {
    let (mut still, [flooding, other]) = Still::with_ready(Balance::LeastConnections);
    let _ = still.events();
    let sent = flood(&mut still, &flooding, warning);
    let first = still.events();
    assert!(first.len() < 100 && first.len() < sent as usize, "{} of {sent} wait", first.len());

    other.report(&Report::Leaving);
    still.settle();
    assert!(
        matches!(still.event(), (WorkerId(2), DispatcherEvent::Report(Report::Leaving, _))),
        "others are read meanwhile"
    );
    let _client = still.clients(1);
    still.settle();
    assert!(flooding.next_now().or_else(|| other.next_now()).is_some());

    // Each event makes room for another one.
    let mut count = first.len() as u32;
    drop(first);
    while count < sent {
        let (worker, DispatcherEvent::Report(Report::Warning { message }, _)) = still.event()
        else {
            panic!("a warning")
        };
        assert_eq!((worker, message), (WorkerId(1), count.to_string()));
        count += 1;
    }
}

#[test]
fn a_worker_that_ends_in_a_flood_is_read_to_the_end_although_nothing_made_room() {
    let (mut still, [flooding]) = Still::with_ready(Balance::LeastConnections);
    let _ = still.events();
    let sent = flood(&mut still, &flooding, warning);
    still.ask(Request::Detach(WorkerId(1), Exit::Code(0)));
    let mut events = still.events();
    assert!(matches!(events.pop(), Some((_, DispatcherEvent::Gone(_)))));
    assert_eq!(events.len() as u32, sent);
}

#[test]
fn a_worker_that_asks_without_reading_the_answers_is_read_no_further() {
    let (mut still, [asking]) = Still::with_ready(Balance::LeastConnections);
    let count = flood(&mut still, &asking, |seq| Report::Bind { seq, wanted: wanted() });
    for seq in 0..count {
        let answer = asking.next_now().or_else(|| {
            still.settle();
            asking.next_now()
        });
        let (MasterFrame::Order(order), _) = answer.expect("an answer") else { panic!("an order") };
        assert!(
            matches!(order, Order::Bound { seq: answered, .. } if answered == seq),
            "{order:?}"
        );
    }
}
