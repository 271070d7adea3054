//! A plain script is ready when it serves what the others serve, however long these took for that.

use crate::clock::Millis;
use crate::config::Balance;
use crate::dispatcher::messages::DispatcherEvent;
use crate::dispatcher::reports::SETTLE_WITHIN;
use crate::dispatcher::tests::played::Played;
use crate::dispatcher::tests::still::Still;
use crate::listeners::ListenerSet;
use crate::protocol::Report;

const SLOW: Millis = 2 * SETTLE_WITHIN;

/// Serves its first listener, and says that it is ready.
fn begin(still: &mut Still, worker: &Played) {
    still.listen(worker, 0);
    worker.report(&Report::Ready { endpoints: Vec::new(), settled: false });
    still.settle();
}

/// Whether the supervisor has heard of a worker that is ready.
fn is_ready(still: &mut Still) -> bool {
    let events = still.events();
    let is_ready =
        |event: &DispatcherEvent| matches!(event, DispatcherEvent::Report(Report::Ready { .. }, _));
    events.iter().any(|(_, event)| is_ready(event))
}

/// With a worker that served another listener so long after the first one.
fn with_slow(after: Millis) -> Still {
    let mut still = Still::new(Balance::LeastConnections);
    let worker = still.attach(1, 1);
    begin(&mut still, &worker);
    assert!(is_ready(&mut still), "nothing else is expected of the first one");
    still.pass(after);
    still.listen(&worker, 1);
    let _ = still.events();
    still
}

/// Of two workers one serves the other listener after `SLOW`, and one never does.
fn one_is_slow_and_one_was_changed(still: &mut Still) {
    let [slow, changed] = [2, 3].map(|id| still.attach(id, id));
    begin(still, &slow);
    begin(still, &changed);
    still.pass(SLOW);
    assert!(!is_ready(still));
    still.listen(&slow, 1);
    assert!(is_ready(still));
    still.pass(SLOW - 1);
    assert!(!is_ready(still));
    still.pass(1);
    assert!(is_ready(still), "its script was changed");
}

#[test]
fn a_worker_has_as_long_as_the_one_before_it_took_and_as_much_again() {
    one_is_slow_and_one_was_changed(&mut with_slow(SLOW));
}

#[test]
fn what_a_script_serves_long_after_its_start_makes_nobody_wait() {
    let mut still = with_slow(3_600_000);
    let next = still.attach(2, 2);
    begin(&mut still, &next);
    still.pass(SETTLE_WITHIN - 1);
    assert!(!is_ready(&mut still));
    still.pass(1);
    assert!(is_ready(&mut still));
}

#[test]
fn a_worker_of_a_new_master_is_ready_when_it_serves_what_the_old_one_serves() {
    let copies = with_slow(SLOW).event_loop.listeners.copies(SLOW).unwrap();
    let listeners = ListenerSet::default().with_legacy(copies);
    one_is_slow_and_one_was_changed(&mut Still::of(listeners, Balance::LeastConnections));
}
