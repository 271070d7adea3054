use super::*;

struct Manager(UnixDatagram);

impl Manager {
    fn received(&self) -> Vec<String> {
        let mut buffer = [0; 512];
        let mut received = Vec::new();
        while let Ok(length) = self.0.recv(&mut buffer) {
            received.extend(String::from_utf8_lossy(&buffer[..length]).lines().map(str::to_owned));
        }
        received
    }
}

fn pair() -> (tempfile::TempDir, Manager, Notifier) {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_nonblocking(true).unwrap();
    (temp, Manager(manager), Notifier::new(path.into(), Some(Duration::from_secs(1))).unwrap())
}

fn view(ready: usize) -> View {
    View { ready, target: 2, living: 2, ..View::default() }
}

#[test]
fn readiness_is_sent_once_with_the_first_worker() {
    let (_temp, manager, mut notifier) = pair();
    notifier.show(&view(0));
    notifier.reload_asked();
    assert_eq!(manager.received(), ["STATUS=0 of 2 workers ready"]);
    notifier.show(&view(1));
    notifier.show(&view(1));
    let main = format!("MAINPID={}", std::process::id());
    assert_eq!(manager.received(), ["READY=1", &main, "STATUS=1 of 2 workers ready"]);
    notifier.show(&view(0));
    notifier.show(&view(2));
    assert_eq!(manager.received(), ["STATUS=0 of 2 workers ready", "STATUS=2 of 2 workers ready"]);
}

#[test]
fn readiness_follows_each_request_of_a_reload_also_if_it_was_over_at_once() {
    let (_temp, manager, mut notifier) = pair();
    notifier.show(&view(2));
    manager.received();
    notifier.reload_asked();
    notifier.show(&view(2));
    let received = manager.received();
    assert_eq!(
        (received[0].as_str(), received[2].as_str()),
        ("RELOADING=1", "READY=1"),
        "{received:?}"
    );
    let micros: u64 = received[1].strip_prefix("MONOTONIC_USEC=").unwrap().parse().unwrap();
    assert!(micros / 1000 <= os::now() && os::now() - micros / 1000 < 5_000);

    let reloading = View { reloading: true, ..view(2) };
    notifier.show(&reloading);
    notifier.reload_asked();
    notifier.show(&reloading);
    assert_eq!(manager.received().iter().filter(|line| *line == "RELOADING=1").count(), 2);
    notifier.show(&view(2));
    assert_eq!(manager.received().iter().filter(|line| *line == "READY=1").count(), 1);
}

#[test]
fn no_readiness_is_sent_after_the_end_began() {
    let (_temp, manager, mut notifier) = pair();
    notifier.show(&View { reloading: true, ..view(2) });
    manager.received();
    let leaving = View { leaving: true, ..view(1) };
    notifier.show(&leaving);
    notifier.show(&leaving);
    notifier.reload_asked();
    assert_eq!(
        manager.received(),
        ["STOPPING=1", "STATUS=leaving: 2 workers finish what they have"]
    );
}

#[test]
fn a_change_that_found_no_room_is_sent_later() {
    let (_temp, manager, mut notifier) = pair();
    while notifier.send("x") {}
    notifier.show(&view(1));
    assert!(!manager.received().contains(&"READY=1".to_owned()));
    notifier.show(&view(1));
    assert!(manager.received().contains(&"READY=1".to_owned()));
}

#[test]
fn a_dispatcher_that_does_not_answer_stops_the_sign_of_life() {
    let (_temp, manager, notifier) = pair();
    let asked = notifier.tick().unwrap();
    assert_eq!(manager.received(), ["WATCHDOG=1"]);
    notifier.tick();
    assert!(manager.received().is_empty());
    asked.store(true, Ordering::Relaxed);
    notifier.tick();
    assert_eq!(manager.received(), ["WATCHDOG=1"]);
}
