//! The cost of a connection, and of an idle worker.

use crate::config::Balance;
use crate::dispatcher::link::TAKE_WITHIN;
use crate::dispatcher::tests::played::Played;
use crate::dispatcher::tests::still::Still;
use crate::protocol::worker::WorkerId;

fn all_taken_by(workers: &[Played]) -> usize {
    workers.iter().map(Played::take_all).sum()
}

#[test]
fn in_the_long_run_nothing_is_allocated_for_a_connection() {
    for policy in [Balance::LeastConnections, Balance::RoundRobin, Balance::IpHash] {
        let (mut still, workers) = Still::with_workers(policy, 4);
        let mut allocated = 0;
        for round in 1..=60 {
            let _clients = still.clients(20);
            let handing_over = allocation_counter::measure(|| still.settle());
            assert_eq!(all_taken_by(&workers), 20);
            let polling = allocation_counter::measure(|| {
                still.pass(TAKE_WITHIN);
                assert_eq!(still.event_loop.next_wake(), None);
            });
            // The first rounds allocate what later ones reuse.
            allocated +=
                if round > 10 { handing_over.count_total + polling.count_total } else { 0 };
        }
        assert_eq!(allocated, 0, "with {policy:?}");
    }
}

#[test]
fn a_worker_that_nothing_goes_to_is_not_polled() {
    let (mut still, workers) = Still::with_workers(Balance::LeastConnections, 6);
    assert_eq!((due(&still), unsent(&still), still.event_loop.next_wake()), (vec![], vec![], None));
    let _clients = still.clients(2);
    still.settle();
    assert_eq!((due(&still), unsent(&still)), (vec![WorkerId(1), WorkerId(2)], vec![]));
    assert_eq!(all_taken_by(&workers), 2);
    // The time by which they had to take the connections.
    still.pass(TAKE_WITHIN);
    assert_eq!((due(&still), still.event_loop.next_wake()), (vec![], None));
}

fn due(still: &Still) -> Vec<WorkerId> {
    still.event_loop.workers.due().to_vec()
}

fn unsent(still: &Still) -> Vec<WorkerId> {
    still.event_loop.workers.unsent().to_vec()
}
