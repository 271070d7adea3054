//! Recycling, stuck workers, and a master that was stopped.

use super::{ONE, RELOAD, TWO, born, pass, reading, running, spawn};
use crate::clock::{MAX_WAIT, Millis};
use crate::supervision::{Action, Event, Notice, Supervisor};

#[test]
fn a_worker_above_a_threshold_is_recycled_one_at_a_time() {
    let mut supervisor = running(2);
    let above = vec![reading(ONE, 10, 1_000), reading(TWO, 10, 1_000)];
    let actions = supervisor.on_event(Event::Sample { readings: above.clone() }, 10);
    assert!(
        matches!(&actions[0], Action::Notify(Notice::Recycling { pid: 101, .. })),
        "{actions:?}"
    );
    assert_eq!(actions[1..], [spawn(3, 0, 2)]);
    assert_eq!(supervisor.on_event(Event::Sample { readings: above.clone() }, 20), []);
    born(&mut supervisor, 3, true, 30);
    let actions = supervisor.on_event(Event::Sample { readings: above }, 40);
    assert_eq!(actions[1..], [spawn(4, 1, 2)]);
}

fn unresponsive(age: Millis) -> Action {
    Action::Notify(Notice::Unresponsive { worker: ONE, pid: 101, age })
}

#[test]
fn a_silent_worker_is_reported_killed_and_replaced_at_once() {
    let mut supervisor = running(1);
    let sample = |beat| Event::Sample { readings: vec![reading(ONE, beat, 0)] };
    for at in [700, 1_400, 2_100, 2_800] {
        assert_eq!(supervisor.on_event(sample(0), at), []);
    }
    assert_eq!(supervisor.on_event(sample(0), 3_500), [Action::Ask { worker: ONE, dying: true }]);
    assert_eq!(
        supervisor.on_event(Event::Executed { worker: ONE }, 3_600),
        [unresponsive(3_600), Action::Kill { worker: ONE }, spawn(2, 0, 2)]
    );
}

#[test]
fn a_master_that_was_stopped_blames_no_worker_for_the_time_it_slept() {
    let mut supervisor = running(1);
    let sample = |beat| Event::Sample { readings: vec![reading(ONE, beat, 0)] };
    supervisor.on_event(sample(500), 700);
    for at in [60_000, 60_700, 61_400, 62_000] {
        assert_eq!(supervisor.on_event(sample(500), at), [], "both were stopped for a minute");
    }
    assert_eq!(
        supervisor.on_event(sample(500), 62_700),
        [Action::Ask { worker: ONE, dying: true }]
    );
    let actions = supervisor.on_event(Event::Executed { worker: ONE }, 62_700);
    assert_eq!(actions[0], unresponsive(3_525));
}

#[test]
fn no_deadline_passes_while_the_master_is_stopped() {
    // The stop moves each of these deadlines by its length.
    type Begin = fn(&mut Supervisor);
    let begun: [(&str, Begin); 4] = [
        ("start", |supervisor| {
            supervisor.on_event(RELOAD, 100);
            born(supervisor, 3, false, 100);
        }),
        ("drain", |supervisor| drop(supervisor.on_event(Event::Leaving { worker: ONE }, 100))),
        ("backoff", |supervisor| {
            supervisor.slots[0].vacate(Some(1_100));
            supervisor.on_event(Event::Tick, 100);
        }),
        ("shutdown", |supervisor| {
            supervisor.limits.shutdown_delay = 1_000;
            supervisor.on_event(Event::Shutdown, 100);
        }),
    ];
    for (name, begin) in begun {
        let mut supervisor = running(2);
        begin(&mut supervisor);
        let due = supervisor.deadline().expect(name);
        assert_eq!(supervisor.on_event(Event::Tick, 90_000), [], "{name}");
        let at = supervisor.clock.on_machine(due);
        assert!((90_000 + due - 100 - MAX_WAIT..90_000 + due).contains(&at), "{name}: {at}");
        assert_eq!(pass(&mut supervisor, 90_000, at - 1, &[ONE, TWO]), [], "{name}");
        assert_ne!(supervisor.on_event(Event::Tick, at), [], "{name}");
    }
}

#[test]
fn a_worker_is_stuck_when_its_beat_is_a_second_late_and_no_sooner() {
    let mut supervisor = running(1);
    let stuck_for = |supervisor: &mut Supervisor, beat, at| {
        supervisor.on_event(Event::Sample { readings: vec![reading(ONE, beat, 0)] }, at);
        supervisor.stuck_for(supervisor.worker(ONE).unwrap())
    };
    for (beat, at, expected) in [
        (700, 750, None),
        (700, 1_450, None),
        (700, 2_100, None),
        (700, 2_449, None),
        (700, 2_450, Some(1_750)),
        (700, 2_900, Some(2_200)),
        // A beat within the millisecond of the sample before.
        (2_900, 3_500, None),
    ] {
        assert_eq!(stuck_for(&mut supervisor, beat, at), expected, "at {at}");
    }
    supervisor.on_event(Event::Leaving { worker: ONE }, 3_500);
    for at in (3_750..=4_750).step_by(250) {
        let expected = (at >= 4_650).then_some(1_850);
        assert_eq!(stuck_for(&mut supervisor, 2_900, at), expected, "also while it drains");
    }
}

#[test]
fn what_a_silent_worker_executes_delays_its_kill_by_a_second_at_most() {
    let mut supervisor = running(1);
    let sample = |beat| Event::Sample { readings: vec![reading(ONE, beat, 0)] };
    for at in [700, 1_400, 2_100, 2_800] {
        supervisor.on_event(sample(0), at);
    }
    assert_eq!(supervisor.on_event(sample(0), 3_200), [Action::Ask { worker: ONE, dying: true }]);
    for at in [3_450, 3_700, 3_950] {
        assert_eq!(supervisor.on_event(sample(0), at), [], "it is asked once");
        assert_eq!(supervisor.on_event(Event::Tick, at), []);
    }
    assert_eq!(supervisor.next_tick(), Some(4_200));
    let actions = supervisor.on_event(Event::Tick, 4_200);
    assert_eq!(actions, [unresponsive(4_200), Action::Kill { worker: ONE }, spawn(2, 0, 2)]);
    assert_eq!(supervisor.on_event(Event::Executed { worker: ONE }, 4_210), []);
}

#[test]
fn a_worker_that_turns_before_it_is_known_what_it_executes_is_not_killed() {
    let mut supervisor = running(1);
    let sample = |beat| Event::Sample { readings: vec![reading(ONE, beat, 0)] };
    for at in [700, 1_400, 2_100, 2_800] {
        supervisor.on_event(sample(0), at);
    }
    assert_eq!(supervisor.on_event(sample(0), 3_200), [Action::Ask { worker: ONE, dying: true }]);
    assert_eq!(supervisor.on_event(sample(3_300), 3_400), []);
    assert_eq!(supervisor.on_event(Event::Executed { worker: ONE }, 3_450), []);
    assert_eq!(supervisor.on_event(Event::Tick, 3_650), []);
}

#[test]
fn a_block_is_reported_once_and_at_most_ten_in_a_minute() {
    let mut supervisor = running(1);
    supervisor.limits.blocked_after = Some(200);
    supervisor.limits.beat_interval = 50;
    let sample = |beat| Event::Sample { readings: vec![reading(ONE, beat, 0)] };
    let mut reported = 0;
    for second in 1..=30u64 {
        let begun = second * 1_000;
        supervisor.on_event(sample(begun), begun);
        for at in [begun + 50, begun + 100, begun + 150, begun + 200] {
            assert_eq!(supervisor.on_event(sample(begun), at), [], "no certain block yet");
        }
        let asked = supervisor.on_event(sample(begun), begun + 250);
        if asked == [Action::Ask { worker: ONE, dying: false }] {
            let duration = 300;
            let blocked = Notice::Blocked { worker: ONE, pid: 101, duration };
            let actions = supervisor.on_event(Event::Executed { worker: ONE }, begun + 300);
            assert_eq!(actions, [Action::Notify(blocked)]);
            reported += 1;
        } else {
            assert_eq!(asked, []);
        }
        assert_eq!(supervisor.on_event(sample(begun), begun + 350), [], "once a block");
        for at in (begun + 400..begun + 1_000).step_by(50) {
            supervisor.on_event(sample(at), at);
        }
    }
    assert_eq!(reported, 10);
}

#[test]
fn a_block_that_is_over_before_it_is_known_what_it_was_is_reported_with_its_length() {
    let mut supervisor = running(1);
    supervisor.limits.blocked_after = Some(200);
    supervisor.limits.beat_interval = 50;
    let sample = |beat| Event::Sample { readings: vec![reading(ONE, beat, 0)] };
    for at in (50..=200).step_by(50) {
        assert_eq!(supervisor.on_event(sample(0), at), []);
    }
    assert_eq!(supervisor.on_event(sample(0), 250), [Action::Ask { worker: ONE, dying: false }]);
    assert_eq!(supervisor.on_event(sample(290), 300), []);
    let blocked = Notice::Blocked { worker: ONE, pid: 101, duration: 250 };
    let actions = supervisor.on_event(Event::Executed { worker: ONE }, 310);
    assert_eq!(actions, [Action::Notify(blocked)]);
}
