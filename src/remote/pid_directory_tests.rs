//! The `pids` directory on a real file system.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use super::pid_directory::{BACKLOG, PidDirectory};
use super::pid_files::{CONTROL_SOCKET, LOCK, MASTER_PID, pid_file, start_file};
use super::running_cluster::RunningCluster;
use crate::error::ClusterError;
use crate::os::directory::Directory;
use crate::os::process::Identity;

fn me() -> Identity {
    Identity::of(std::process::id()).unwrap()
}

#[test]
fn a_directory_has_one_master_and_is_empty_after_its_end() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("deep/pids");
    let mut pids = PidDirectory::claim(&path).unwrap();
    let _socket = pids.listen().unwrap();
    pids.add_worker(std::process::id());
    let mode = std::fs::metadata(path.join(CONTROL_SOCKET)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(PidDirectory::claim(&path).unwrap_err().code(), "CLUSTER2_ERR_ALREADY_RUNNING");
    let running = RunningCluster::find(&path).unwrap();
    assert_eq!(running.master.as_ref().unwrap().0, std::process::id());
    assert_eq!(running.workers().len(), 1);
    pids.remove_worker(std::process::id());
    pids.release();
    assert_eq!(std::fs::read_dir(&path).unwrap().count(), 0);
    assert!(matches!(
        RunningCluster::find(&path),
        Err(ClusterError::NotRunning { is_missing: false, .. })
    ));
}

#[test]
fn every_pid_file_is_one_line_with_the_pid() {
    let temp = tempfile::tempdir().unwrap();
    let mut pids = PidDirectory::claim(temp.path()).unwrap();
    let me = std::process::id();
    pids.add_worker(me);
    let text = |name: &str| std::fs::read_to_string(temp.path().join(name)).unwrap();
    assert_eq!([text(MASTER_PID), text(&pid_file(me))], [format!("{me}\n"), format!("{me}\n")]);
}

#[test]
fn the_holder_of_the_lock_runs_even_if_its_pid_means_nothing_here() {
    let temp = tempfile::tempdir().unwrap();
    let directory = Directory::open(temp.path()).unwrap();
    let elsewhere = Identity { started: me().started + 1, ..me() };
    let held = directory.lock(LOCK, elsewhere).unwrap().unwrap();
    let refused = PidDirectory::claim(temp.path()).unwrap_err();
    assert!(matches!(refused, ClusterError::AlreadyRunning { pid: None, .. }), "{refused}");
    assert!(RunningCluster::find(temp.path()).unwrap().master.is_none());
    drop(held);
    // A process that another test starts has a copy of the lock until it runs its own program.
    let until = std::time::Instant::now() + std::time::Duration::from_secs(5);
    while RunningCluster::find(temp.path()).is_ok() && std::time::Instant::now() < until {
        std::thread::yield_now();
    }
    assert!(RunningCluster::find(temp.path()).is_err());
}

#[test]
fn files_without_a_lock_name_nobody_even_if_the_process_lives() {
    let temp = tempfile::tempdir().unwrap();
    Directory::open(temp.path()).unwrap().write_identity(LOCK, me()).unwrap();
    assert!(matches!(
        RunningCluster::find(temp.path()),
        Err(ClusterError::NotRunning { is_missing: false, .. })
    ));
}

#[test]
fn a_worker_is_recognised_by_pid_and_start_time() {
    let temp = tempfile::tempdir().unwrap();
    let directory = Directory::open(temp.path()).unwrap();
    let held = directory.lock(LOCK, me()).unwrap().unwrap();
    let pid = std::process::id();
    directory.write_pid(&pid_file(pid), pid).unwrap();
    let running = RunningCluster::find(temp.path()).unwrap();
    assert!(running.workers().is_empty(), "a pid file alone");
    directory.write_identity(&start_file(pid), Identity { started: 1, ..me() }).unwrap();
    assert!(running.workers().is_empty(), "of another process");
    directory.write_identity(&start_file(1), me()).unwrap();
    assert!(running.workers().is_empty(), "under another name");
    directory.write_identity(&start_file(pid), me()).unwrap();
    assert_eq!(running.workers().len(), 1);
    drop(held);
}

#[test]
fn removed_files_are_made_again() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("pids");
    let mut pids = PidDirectory::claim(&path).unwrap();
    let _first = pids.listen().unwrap();
    pids.add_worker(std::process::id());
    let names = || {
        let names = std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name());
        names.collect::<BTreeSet<_>>()
    };
    let all = names();
    assert!(pids.restore().unwrap().is_none(), "nothing is missing");
    for gone in [&[CONTROL_SOCKET][..], &[MASTER_PID], &[LOCK, MASTER_PID], &[CONTROL_SOCKET, LOCK]]
    {
        gone.iter().for_each(|name| std::fs::remove_file(path.join(name)).unwrap());
        let socket = pids.restore().unwrap();
        assert_eq!(
            socket.is_some(),
            gone.iter().any(|name| [CONTROL_SOCKET, LOCK].contains(name)),
            "{gone:?}"
        );
        assert_eq!(names(), all);
        assert!(PidDirectory::claim(&path).is_err(), "and it is ours");
    }
    std::fs::remove_dir_all(&path).unwrap();
    let _socket = pids.restore().unwrap().expect("a new socket");
    assert_eq!(names(), all);
    assert!(RunningCluster::find(&path).unwrap().connect().is_ok());
    pids.remove_worker(std::process::id());
    pids.release();
    assert!(names().is_empty());
}

#[test]
fn a_client_is_refused_at_once_when_too_many_wait_to_be_accepted() {
    let temp = tempfile::tempdir().unwrap();
    let mut pids = PidDirectory::claim(temp.path()).unwrap();
    let _socket = pids.listen().unwrap();
    let running = RunningCluster::find(temp.path()).unwrap();
    let connected: Vec<_> =
        std::iter::repeat_with(|| running.connect()).take(2 * BACKLOG as usize).collect();
    let refused: BTreeSet<_> =
        connected.iter().filter_map(|it| it.as_ref().err().map(io::Error::kind)).collect();
    assert_eq!(refused, BTreeSet::from([io::ErrorKind::WouldBlock]));
}

#[test]
fn a_directory_that_another_cluster_claimed_meanwhile_is_left_to_it() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("pids");
    let mut first = PidDirectory::claim(&path).unwrap();
    std::fs::remove_dir_all(&path).unwrap();
    let mut second = PidDirectory::claim(&path).unwrap();
    let _socket = second.listen().unwrap();
    assert_eq!(first.restore().unwrap_err().code(), "CLUSTER2_ERR_ALREADY_RUNNING");
    first.release();
    assert!(RunningCluster::find(&path).unwrap().connect().is_ok());
    second.release();
}

#[test]
fn a_directory_that_cannot_be_created_is_named() {
    let error = PidDirectory::claim(Path::new("/proc/nowhere/pids")).unwrap_err();
    assert_eq!(error.code(), "CLUSTER2_ERR_PIDS_UNWRITABLE");
    assert!(error.to_string().contains("/proc/nowhere/pids"), "{error}");
}

#[test]
fn a_missing_and_an_unreadable_directory_are_different_errors() {
    let missing = RunningCluster::find(Path::new("/nowhere/pids")).unwrap_err();
    assert_eq!(
        (missing.code(), missing.to_string().contains("there is no directory")),
        ("CLUSTER2_ERR_NOT_RUNNING", true)
    );
    let unreadable = RunningCluster::find(Path::new("/proc/self/stat")).unwrap_err();
    assert_eq!(unreadable.code(), "CLUSTER2_ERR_PIDS_UNREADABLE");
}

#[test]
fn who_takes_over_answers_commands_also_where_it_may_not_write_the_files() {
    let temp = tempfile::tempdir().unwrap();
    let mut former = PidDirectory::claim(temp.path()).unwrap();
    let bound = former.listen().unwrap();
    let (lock, control) = former.copies().unwrap();
    let mut taken = PidDirectory::adopt(temp.path(), lock, control).unwrap();
    // It cannot be opened for writing, as without rights.
    let file = temp.path().join(MASTER_PID);
    std::fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink("nowhere", &file).unwrap();
    let (listener, problem) = taken.take_charge();
    assert!(taken.is_in_charge());
    assert_eq!(problem.unwrap().code(), "CLUSTER2_ERR_PIDS_UNWRITABLE");
    let address = |listener: &UnixListener| format!("{:?}", listener.local_addr().unwrap());
    assert_eq!(address(&listener.unwrap()), address(&bound));
}
