use super::*;
use crate::quota::Quota;

/// Sends messages of a worker until its quota is full. Returns how many.
fn fill(
    mailbox: &Mailbox,
    quota: &Quota,
    pid: u32,
    texts: impl IntoIterator<Item = String>,
) -> usize {
    let mut count = 0;
    for text in texts {
        let Some(share) = quota.try_take(text.len() + MESSAGE_OVERHEAD) else { break };
        mailbox.message(pid, pid, RawValue::from_string(text).unwrap(), share);
        count += 1;
    }
    count
}

fn numbers() -> impl Iterator<Item = String> {
    (0..).map(|number: u64| number.to_string())
}

fn died(pid: u32) -> MasterEvent {
    MasterEvent::Died {
        pid,
        code: Some(0),
        signal: None,
        reason: "leave",
        error: None,
        executed: None,
    }
}

fn fork(mailbox: &Mailbox, pids: std::ops::RangeInclusive<u32>) {
    for pid in pids {
        mailbox.emit(MasterEvent::Forked { pid });
    }
}

fn die(mailbox: &Mailbox, pids: std::ops::RangeInclusive<u32>) {
    for pid in pids {
        mailbox.emit(died(pid));
    }
}

fn warning(number: usize) -> MasterEvent {
    MasterEvent::Warning { message: number.to_string() }
}

/// The items of a batch, in short: `f1`, `d1`, `m1` for worker 1, texts of warnings, `end`.
fn words(batch: Option<Vec<Item>>) -> Vec<String> {
    let word = |item: Item| match item {
        Item::Event(MasterEvent::Forked { pid }) => format!("f{pid}"),
        Item::Event(MasterEvent::Died { pid, .. }) => format!("d{pid}"),
        Item::Event(MasterEvent::Message { pid, .. }) => format!("m{pid}"),
        Item::Event(MasterEvent::Warning { message }) => message,
        Item::Event(MasterEvent::Finished { .. }) => "end".to_owned(),
        other => format!("{other:?}"),
    };
    batch.unwrap_or_default().into_iter().map(word).collect()
}

fn take_all(mailbox: &Mailbox, now: Millis) -> Vec<String> {
    std::iter::from_fn(|| mailbox.take(now)).flat_map(|batch| words(Some(batch))).collect()
}

/// Two workers that have filled their quota, and nothing else that waits.
fn flooded() -> (Mailbox, [Quota; 2]) {
    let mailbox = Mailbox::default();
    fork(&mailbox, 1..=2);
    assert_eq!(words(mailbox.take(0)), ["f1", "f2"]);
    let quotas = [Quota::new(1 << 20), Quota::new(1 << 20)];
    for (quota, pid) in quotas.iter().zip(1..) {
        assert!(fill(&mailbox, quota, pid, numbers()) > 1000);
    }
    (mailbox, quotas)
}

#[test]
fn events_come_before_messages_that_wait() {
    let (mailbox, _quotas) = flooded();
    mailbox.emit(warning(1));
    mailbox.emit(warning(2));
    assert_eq!(words(mailbox.take(0))[..3], ["1", "2", "m1"]);
    mailbox.emit(warning(3));
    assert_eq!(words(mailbox.take(0))[..2], ["3", "m1"]);
}

#[test]
fn a_batch_of_messages_is_bounded_and_each_worker_has_its_turn() {
    let (mailbox, _quotas) = flooded();
    let batch = words(mailbox.take(0));
    assert!(batch.len() <= BATCH / MESSAGE_OVERHEAD + 1, "{}", batch.len());
    let of_first = batch.iter().filter(|word| *word == "m1").count();
    assert!(
        of_first.abs_diff(batch.len() / 2) <= TURN / MESSAGE_OVERHEAD,
        "{of_first} of {}",
        batch.len()
    );
}

#[test]
fn taking_a_message_frees_its_place_and_only_that() {
    let (mailbox, [quota, _]) = flooded();
    assert!(quota.is_full());
    mailbox.take(0).unwrap();
    assert!(!quota.is_full());
    let more = fill(&mailbox, &quota, 1, numbers());
    assert!((1..=BATCH / MESSAGE_OVERHEAD).contains(&more), "{more}");
}

#[test]
fn the_embedder_is_woken_once_until_it_has_taken_all() {
    let mailbox = Mailbox::default();
    assert!(mailbox.emit(MasterEvent::Forked { pid: 1 }));
    assert!(!mailbox.emit(warning(1)));
    assert!(mailbox.take(0).is_some());
    assert!(!mailbox.emit(warning(2)), "it takes until there is nothing");
    assert!(mailbox.take(0).is_some() && mailbox.take(0).is_none());
    let quota = Quota::new(1000);
    assert!(mailbox.message(
        1,
        1,
        RawValue::from_string("1".into()).unwrap(),
        quota.try_take(1).unwrap()
    ));
}

#[test]
fn a_workers_own_messages_come_before_its_end_and_nobody_elses_do() {
    let (mailbox, [quota, _]) = flooded();
    mailbox.emit(died(1));
    let sent = fill(&mailbox, &quota, 1, numbers());
    assert_eq!(sent, 0);
    mailbox.end_of_messages(1);
    mailbox.emit(MasterEvent::Forked { pid: 3 });
    let taken = take_all(&mailbox, 0);
    let end = taken.iter().position(|word| word == "d1").unwrap();
    assert!(end > 1000 && taken[..end].iter().all(|word| word == "m1"));
    assert_eq!(taken[end + 1], "f3");
    assert!(taken[end + 2..].iter().all(|word| word == "m2") && taken.len() > end + 1000);
}

#[test]
fn an_end_waits_for_messages_that_are_still_read_but_not_for_ever() {
    let mailbox = Mailbox::default();
    mailbox.emit(MasterEvent::Forked { pid: 1 });
    mailbox.emit(died(1));
    let quota = Quota::new(1000);
    assert_eq!(words(mailbox.take(100)), ["f1"]);
    assert!(mailbox.take(100).is_none());
    assert!(mailbox.message(
        1,
        1,
        RawValue::from_string("1".into()).unwrap(),
        quota.try_take(1).unwrap()
    ));
    assert_eq!(words(mailbox.take(200)), ["m1"]);
    assert!(mailbox.take(200).is_none());
    assert!(mailbox.end_of_messages(1), "it is woken for the end");
    assert_eq!(words(mailbox.take(300)), ["d1"]);

    mailbox.emit(MasterEvent::Forked { pid: 2 });
    mailbox.emit(died(2));
    assert_eq!(words(mailbox.take(1_000)), ["f2"]);
    assert_eq!(words(mailbox.take(1_000 + HOLD)), ["d2"]);
    mailbox.message(2, 2, RawValue::from_string("1".into()).unwrap(), quota.try_take(1).unwrap());
    assert_eq!(words(mailbox.take(1_000 + HOLD)), ["m2"], "a late message is not lost");
}

#[test]
fn many_ends_at_once_wait_no_longer_together_than_one_alone() {
    let mailbox = Mailbox::default();
    fork(&mailbox, 1..=100);
    mailbox.take(0);
    die(&mailbox, 1..=100);
    assert!(mailbox.take(1_000).is_none());
    assert_eq!(words(mailbox.take(1_000 + HOLD)).len(), 100);
}

#[test]
fn the_end_of_the_cluster_waits_for_no_backlog_and_counts_what_was_not_taken() {
    let (mailbox, _quotas) = flooded();
    die(&mailbox, 1..=2);
    mailbox.emit(MasterEvent::Finished { error: None, successor: None });
    let first = words(mailbox.take(0));
    assert!(
        first.iter().all(|word| word == "m1") && !first.is_empty(),
        "messages of workers that died are still taken"
    );
    let last = words(mailbox.take(HOLD));
    assert_eq!([&last[0], &last[1], &last[3]], ["d1", "d2", "end"]);
    assert!(
        last[2].starts_with("the cluster ended before the master's script took the last "),
        "{}",
        last[2]
    );
    assert!(mailbox.take(HOLD).is_none());
    assert!(!mailbox.emit(warning(1)), "nothing follows");
}

#[test]
fn the_end_of_the_cluster_comes_although_a_worker_was_never_silent() {
    let mailbox = Mailbox::default();
    mailbox.emit(MasterEvent::Forked { pid: 1 });
    mailbox.emit(died(1));
    assert_eq!(words(mailbox.take(0)), ["f1"]);
    mailbox.emit(MasterEvent::Finished { error: None, successor: None });
    assert_eq!(words(mailbox.take(0)), ["d1", "end"]);
}

#[test]
fn the_newest_frequent_events_are_kept_and_all_others() {
    let mailbox = Mailbox::default();
    for number in 0..3 * MAX_FREQUENT {
        mailbox.emit(warning(number));
        if number < MAX_FREQUENT {
            mailbox.emit(MasterEvent::Forked { pid: number as u32 });
        }
    }
    let taken = take_all(&mailbox, 0);
    assert!(taken[0].starts_with(&format!("{} earlier events", 2 * MAX_FREQUENT)), "{}", taken[0]);
    assert_eq!(taken.iter().filter(|word| word.starts_with('f')).count(), MAX_FREQUENT);
    assert_eq!(taken.len(), 1 + 2 * MAX_FREQUENT);
    assert_eq!(*taken.last().unwrap(), (3 * MAX_FREQUENT - 1).to_string());
    mailbox.emit(warning(7));
    assert_eq!(take_all(&mailbox, 0), ["7"]);
}
