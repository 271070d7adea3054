//! Locks, pid files and log files.

use super::*;

fn me() -> Identity {
    Identity::of(std::process::id()).unwrap()
}

#[test]
fn a_lock_is_held_by_one_and_a_stale_file_is_taken_over() {
    let temp = tempfile::tempdir().unwrap();
    let directory = Directory::create(&temp.path().join("pids")).unwrap();
    assert!(!directory.is_locked("lock").unwrap(), "there is no such file");
    std::fs::write(directory.path("lock"), "pid=999999\nstarted=1\nand=more\n").unwrap();
    let held = directory.lock("lock", me()).unwrap().expect("the lock is free");
    assert_eq!(directory.read_identity("lock"), Some(me()));
    assert!(directory.is_locked("lock").unwrap());
    assert!(directory.lock("lock", me()).unwrap().is_none());
    assert!(directory.has_lock("lock", &held).unwrap());
    directory.remove("lock").unwrap();
    assert!(!directory.has_lock("lock", &held).unwrap());
    drop(held);
    assert!(directory.lock("lock", me()).unwrap().is_some());
    let mode = rustix::fs::stat(directory.path("lock")).unwrap().st_mode;
    assert_eq!(mode & 0o777, 0o600, "no other user can lock it");
}

#[test]
fn asking_for_a_lock_keeps_no_process_from_taking_it() {
    let temp = tempfile::tempdir().unwrap();
    let directory = Directory::open(temp.path()).unwrap();
    drop(directory.lock("lock", me()).unwrap());
    let held = directory.lock("lock", me()).unwrap().unwrap();
    assert!(directory.is_locked("lock").unwrap(), "asking takes no lock");
    drop(held);
    assert!(!directory.is_locked("lock").unwrap());
}

#[test]
fn a_directory_that_was_moved_away_is_not_in_place() {
    let temp = tempfile::tempdir().unwrap();
    let directory = Directory::create(&temp.path().join("pids")).unwrap();
    assert!(directory.is_in_place().unwrap());
    std::fs::rename(temp.path().join("pids"), temp.path().join("elsewhere")).unwrap();
    assert!(!directory.is_in_place().unwrap());
    std::fs::create_dir(temp.path().join("pids")).unwrap();
    assert!(!directory.is_in_place().unwrap(), "another one");
}

#[test]
fn a_symlink_in_place_of_a_file_is_not_followed() {
    let temp = tempfile::tempdir().unwrap();
    let victim = temp.path().join("victim");
    std::fs::write(&victim, "precious").unwrap();
    let directory = Directory::open(temp.path()).unwrap();
    std::os::unix::fs::symlink(&victim, directory.path("link")).unwrap();
    assert!(directory.lock("link", me()).is_err());
    assert!(directory.is_locked("link").is_err());
    assert!(directory.write_pid("link", 1).is_err());
    assert!(directory.write_identity("link", me()).is_err());
    assert!(directory.read_identity("link").is_none());
    assert_eq!(std::fs::read_to_string(victim).unwrap(), "precious");
}

#[test]
fn a_log_is_appended_to_and_is_never_a_symlink_or_a_device() {
    let temp = tempfile::tempdir().unwrap();
    let directory = Directory::create(&temp.path().join("logs")).unwrap();
    for text in ["one\n", "two\n"] {
        let mut file = File::from(directory.append("app.log").unwrap());
        file.write_all(text.as_bytes()).unwrap();
    }
    assert_eq!(std::fs::read_to_string(directory.path("app.log")).unwrap(), "one\ntwo\n");
    let mode = rustix::fs::stat(directory.path("app.log")).unwrap().st_mode;
    assert_eq!(mode & 0o137, 0, "only the owner writes, and others do not read");
    std::os::unix::fs::symlink(directory.path("app.log"), directory.path("link")).unwrap();
    let fifo = directory.path("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
        .unwrap();
    let _reader =
        rustix::fs::open(&fifo, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()).unwrap();
    for name in ["link", "fifo", ".", "missing/app.log"] {
        assert!(directory.append(name).is_err(), "{name}");
    }
}

#[test]
fn a_file_with_invalid_content_names_no_process() {
    let temp = tempfile::tempdir().unwrap();
    let directory = Directory::open(temp.path()).unwrap();
    for nonsense in [
        "",
        "12",
        "1\n1\n",
        "pid=1",
        "pid=-1\nstarted=5\n",
        "pid=x\nstarted=y\n",
        "pid=99999999999999999999\nstarted=1\n",
    ] {
        std::fs::write(directory.path("a.start"), nonsense).unwrap();
        assert_eq!(directory.read_identity("a.start"), None, "{nonsense:?}");
    }
}
