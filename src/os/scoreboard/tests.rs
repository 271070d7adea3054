//! Shared numbers, seen through two mappings as by two processes.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::*;

#[test]
fn a_worker_that_opens_the_descriptor_sees_the_same_numbers() {
    let board = Scoreboard::create(4).unwrap();
    let other = Scoreboard::open(board.memory().unwrap().try_clone_to_owned().unwrap()).unwrap();
    assert_eq!(other.rows(), 4);
    other.row(3).unwrap().add(Field::Cpu, 1.5);
    assert_eq!(board.row(3).unwrap().get(Field::Cpu), 1.5);
    board.row(3).unwrap().clear();
    assert_eq!(other.row(3).unwrap().get(Field::Cpu), 0.0);
    assert!(other.row(4).is_none());
}

#[test]
fn a_switch_is_seen_by_all_and_keeps_its_time_when_it_is_repeated() {
    let board = Scoreboard::create(1).unwrap();
    let other = Scoreboard::open(board.memory().unwrap().try_clone_to_owned().unwrap()).unwrap();
    assert!(board.header().switch(false, 1_000), "the start");
    assert!(other.header().switch(true, 2_000));
    assert!(!board.header().switch(true, 3_000));
    assert_eq!(board.header().switched(), (true, 2_000));
    assert!(board.header().switch(false, 4_000));
    assert_eq!(other.header().switched(), (false, 4_000));
    assert_eq!(other.header().leaving(), None);
    board.header().leave(5_000);
    board.header().leave(6_000);
    assert_eq!(other.header().leaving(), Some(5_000));
    assert_eq!(board.row(0).unwrap().count(Field::Taken), 0, "the header is not a row");
}

#[test]
fn each_shared_listener_has_a_counter_of_its_own() {
    let board = Scoreboard::create(2).unwrap();
    let other = Scoreboard::open(board.memory().unwrap().try_clone_to_owned().unwrap()).unwrap();
    let count = |board: &Arc<Scoreboard>, bit| board.header().accepted(bit).load(Ordering::Relaxed);
    for bit in 0..COUNTERS as u32 {
        let number = u64::from(bit) + 1;
        other.header().accepted(bit).fetch_add(number, Ordering::Relaxed);
    }
    assert!((0..COUNTERS as u32).all(|bit| count(&board, bit) == u64::from(bit) + 1));
    board.row(1).unwrap().clear();
    assert_eq!(board.row(1).unwrap().count(Field::Taken), 0);
    assert_eq!((count(&other, 0), board.header().leaving()), (1, None));
}

#[test]
fn only_one_at_a_time_takes_from_a_channel() {
    let board = Scoreboard::create(2).unwrap();
    let other = Scoreboard::open(board.memory().unwrap().try_clone_to_owned().unwrap()).unwrap();
    let (ours, theirs) = (board.row(1).unwrap(), other.row(1).unwrap());
    let claim = ours.claim().unwrap();
    assert!(theirs.claim().is_none());
    assert!(other.row(0).unwrap().claim().is_some(), "another worker's");
    drop(claim);
    assert!(theirs.claim().is_some());
    std::mem::forget(theirs.claim());
    assert!(ours.claim().is_none(), "its worker died");
    ours.clear();
    assert!(ours.claim().is_some());
}

#[test]
fn invalid_numbers_of_a_worker_count_as_zero() {
    let row = Scoreboard::create(1).unwrap().row(0).unwrap();
    for invalid in [f64::NAN, f64::INFINITY, -5.0] {
        row.set(Field::Taken, invalid);
        assert_eq!(row.count(Field::Taken), 0);
    }
}
