//! Spares: they learn where they would listen, and nothing waits for them until they are activated.

use crate::config::Balance;
use crate::dispatcher::messages::{DispatcherEvent, Request};
use crate::dispatcher::reports::SETTLE_WITHIN;
use crate::dispatcher::tests::played::{Played, answered, wanted};
use crate::dispatcher::tests::still::Still;
use crate::dispatcher::tests::unserved::is_bound;
use crate::protocol::frame::MasterFrame;
use crate::protocol::worker::WorkerId;
use crate::protocol::{Order, Report, Wanted};

/// Where a spare would listen: the listener, and its port.
fn try_listen(still: &mut Still, spare: &Played, index: u32) -> (u32, u16) {
    spare.report(&Report::Bind { seq: index, wanted: Wanted { index, ..wanted() } });
    still.settle();
    let Some((MasterFrame::Order(order), sockets)) = spare.next_now() else { panic!() };
    assert!(sockets.is_empty());
    let Order::Bound { listener, address, shared: None, .. } = order else { panic!("{order:?}") };
    (listener, address.unwrap().port)
}

/// Whether the supervisor has heard of a spare that waits.
fn waits(still: &mut Still) -> bool {
    let events = still.events();
    let is_told = |event: &DispatcherEvent| {
        matches!(event, DispatcherEvent::Report(Report::Waiting { .. }, _))
    };
    events.iter().any(|(_, event)| is_told(event))
}

#[test]
fn a_spare_keeps_no_listener_open() {
    let (mut still, workers) = Still::with_workers(Balance::LeastConnections, 1);
    let (listener, port) = still.listen(&workers[0], 1);
    workers[0].ready();
    let spare = still.attach_spare(2, 2);
    assert_eq!(try_listen(&mut still, &spare, 1), (listener, port));
    let (_, own) = try_listen(&mut still, &spare, 2);
    assert!(!is_bound(own), "nobody would serve it");
    assert!(is_bound(port));
    workers[0].report(&Report::Unserve { listener });
    still.settle();
    assert!(!is_bound(port), "a spare does not hold it");
}

#[test]
fn one_that_is_activated_asks_again_and_gets_those_that_wait() {
    let (mut still, workers) = Still::with_workers(Balance::LeastConnections, 1);
    let (listener, port) = still.listen(&workers[0], 1);
    workers[0].ready();
    let spare = still.attach_spare(2, 2);
    try_listen(&mut still, &spare, 1);
    // A server of a spare that is closed takes nothing from the others.
    spare.report(&Report::Unserve { listener });
    still.detach(1);
    let mut clients = Still::clients_of(port, 1);
    still.ask(Request::Activate(WorkerId(2)));
    assert_eq!(spare.orders(), [MasterFrame::Order(Order::Activate)]);
    assert_eq!(still.listen(&spare, 1), (listener, port));
    answered(spare.take(1), &mut clients);
    still.ask(Request::Activate(WorkerId(2)));
    assert_eq!(spare.orders(), [], "once");
}

#[test]
fn a_plain_script_waits_once_it_knows_of_all_that_others_serve_or_after_a_while() {
    let (mut still, workers) = Still::with_workers(Balance::LeastConnections, 1);
    still.listen(&workers[0], 1);
    workers[0].ready();
    let spares = [2, 3].map(|id| still.attach_spare(id, id));
    for spare in &spares {
        try_listen(&mut still, spare, 0);
        spare.report(&Report::Waiting { settled: false });
    }
    assert!(!waits(&mut still));
    try_listen(&mut still, &spares[0], 1);
    assert!(waits(&mut still));
    still.pass(SETTLE_WITHIN);
    assert!(waits(&mut still));
    let settled = still.attach_spare(4, 4);
    settled.report(&Report::Waiting { settled: true });
    still.settle();
    assert!(waits(&mut still));
}
