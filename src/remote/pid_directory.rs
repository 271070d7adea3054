//! The `pids` directory: who runs here, and how to reach them.
//!
//! `master.lock` is locked by the running master for as long as it lives, so whether one runs is the kernel's word, in every
//! pid namespace. It names the master by pid and start time, and `worker.<pid>.start` each worker, for the day the master does
//! not answer. `master.pid` and `worker.<pid>.pid` hold one line, the pid, for people and scripts; they are never read here.
//! `control.sock` (0600) is how the master is asked.
//!
//! What always holds: a pid is signalled only through a pidfd that was opened before its start time was compared; and what
//! somebody removes while the master runs, the directory itself included, is there again a second later.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::error::{ClusterError, Result};
use crate::os::directory::{Directory, FileId, Lock};
use crate::os::process::Identity;

const LOCK: &str = "master.lock";
const MASTER: &str = "master.pid";
const CONTROL: &str = "control.sock";
/// Unaccepted connections of the control socket that may wait.
const BACKLOG: i32 = 128;

/// The directory, claimed by this process's master.
#[derive(Debug)]
pub struct Pids {
    path: PathBuf,
    directory: Directory,
    lock: Lock,
    /// The file that names the master to people, open so that no other gets its inode.
    master: Option<File>,
    /// The control socket's file, once there is one.
    control: Option<FileId>,
    workers: BTreeSet<u32>,
}

/// What lies in the directory.
struct Found {
    is_ours: bool,
    is_named: bool,
    control: Option<FileId>,
}

fn pid_file(pid: u32) -> String {
    format!("worker.{pid}.pid")
}

fn start_file(pid: u32) -> String {
    format!("worker.{pid}.start")
}

impl Pids {
    /// Makes the directory where needed and claims it. Fails with `PidsUnwritable` or `AlreadyRunning`.
    pub fn claim(path: &Path) -> Result<Self> {
        let mut pids = Self::lock(path)?;
        pids.write_master().inspect_err(|_| pids.remove(LOCK))?;
        Ok(pids)
    }

    fn write_master(&mut self) -> Result<()> {
        let written = self.directory.write_pid(MASTER, std::process::id());
        self.master = Some(written.map_err(unwritable(&self.directory.path(MASTER)))?);
        Ok(())
    }

    /// Takes the lock, and removes what workers of a master that is gone left behind.
    fn lock(path: &Path) -> Result<Self> {
        let directory = Directory::create(path).map_err(unwritable(path))?;
        let me = Identity::of(std::process::id())
            .map_err(ClusterError::system("reading /proc/self/stat"))?;
        let Some(lock) = directory.lock(LOCK, me).map_err(unwritable(&directory.path(LOCK)))?
        else {
            // In another pid namespace the number means nothing here.
            let owner =
                directory.read_identity(LOCK).filter(|owner| matches!(owner.open(), Ok(Some(_))));
            return Err(ClusterError::AlreadyRunning {
                pids: path.into(),
                pid: owner.map(|owner| owner.pid),
            });
        };
        let pids = Self {
            path: path.into(),
            directory,
            lock,
            master: None,
            control: None,
            workers: BTreeSet::new(),
        };
        pids.sweep();
        Ok(pids)
    }

    /// Creates the control socket, for this user alone from its first moment on.
    pub fn listen(&mut self) -> Result<UnixListener> {
        let bound = self.bind().map_err(unwritable(&self.directory.path(CONTROL)))?;
        self.control = self.directory.file(CONTROL).ok().flatten();
        Ok(bound)
    }

    fn bind(&self) -> io::Result<UnixListener> {
        // We hold the lock, so whatever lies there belongs to nobody alive.
        self.directory.remove(CONTROL)?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket =
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        // On Linux the file gets the socket's own mode.
        rustix::fs::fchmod(&socket, Mode::from_raw_mode(0o600))?;
        let address = SocketAddrUnix::new(self.directory.short_path(CONTROL))?;
        rustix::net::bind(&socket, &address)?;
        rustix::net::listen(&socket, BACKLOG)?;
        Ok(UnixListener::from(socket))
    }

    /// Makes again what somebody removed. Returns the control socket if it is a new one.
    pub fn restore(&mut self) -> Result<Option<UnixListener>> {
        let Ok(found) = self.look() else {
            // Nothing is known to be missing: this process may have given up the right to look.
            return Ok(None);
        };
        if !found.is_ours {
            let workers = std::mem::take(&mut self.workers);
            match Self::lock(&self.path) {
                Ok(pids) => *self = pids,
                Err(error) => {
                    self.workers = workers;
                    return Err(error);
                }
            }
            workers.into_iter().for_each(|pid| self.add_worker(pid));
        }
        if !found.is_ours || !found.is_named {
            // We hold the lock, so whatever lies there was put there by nobody who should.
            self.directory.remove(MASTER).map_err(unwritable(&self.directory.path(MASTER)))?;
            self.write_master()?;
        }
        if self.control.is_some() && found.control == self.control {
            Ok(None)
        } else {
            self.listen().map(Some)
        }
    }

    fn look(&self) -> io::Result<Found> {
        Ok(Found {
            is_ours: self.is_ours()?,
            is_named: self
                .master
                .as_ref()
                .map_or(Ok(false), |file| self.directory.names(MASTER, file))?,
            control: self.directory.file(CONTROL)?,
        })
    }

    /// Whether whoever looks into the directory finds our lock there.
    fn is_ours(&self) -> io::Result<bool> {
        Ok(self.directory.is_in_place()? && self.directory.has_lock(LOCK, &self.lock)?)
    }

    /// Leaves a note of a worker.
    pub fn add_worker(&mut self, pid: u32) {
        if let Err(error) = self.note(pid) {
            // [`Pids::restore_workers`] tries again, and tells it.
            tracing::warn!(%error, pid, "cannot write a worker's pid file");
        }
        self.workers.insert(pid);
    }

    fn note(&self, pid: u32) -> io::Result<()> {
        self.directory.write_identity(&start_file(pid), Identity::of(pid)?)?;
        self.directory.write_pid(&pid_file(pid), pid).map(drop)
    }

    /// Makes the notes of workers again that somebody removed, or that could not be made. A process that has given up
    /// the right to write them is no failure.
    pub fn restore_workers(&self) -> Result<()> {
        let has = |name: String| matches!(self.directory.file(&name), Ok(Some(_)) | Err(_));
        for pid in self.workers.iter().copied() {
            if has(start_file(pid)) && has(pid_file(pid)) {
                continue;
            }
            match self.note(pid) {
                // It is a zombie of which nobody has heard yet, or may be.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
                    ) => {}
                other => other.map_err(unwritable(&self.directory.path(&pid_file(pid))))?,
            }
        }
        Ok(())
    }

    /// Removes the note of a worker that is gone.
    pub fn remove_worker(&mut self, pid: u32) {
        self.workers.remove(&pid);
        self.forget(pid);
    }

    /// Removes everything that is ours, at the end. The lock goes last.
    pub fn release(self) {
        self.sweep();
        // What lies there may be another cluster's, if ours was removed.
        if matches!(self.is_ours(), Ok(true)) {
            [CONTROL, MASTER, LOCK].into_iter().for_each(|name| self.remove(name));
        }
    }

    /// Removes the notes of workers that are gone.
    fn sweep(&self) {
        for (pid, identity) in noted_workers(&self.directory) {
            if identity.is_none_or(|identity| !matches!(identity.open(), Ok(Some(_)))) {
                self.forget(pid);
            }
        }
    }

    fn forget(&self, pid: u32) {
        // The number that people read first: it may be somebody else's from now on.
        self.remove(&pid_file(pid));
        self.remove(&start_file(pid));
    }

    fn remove(&self, name: &str) {
        if let Err(error) = self.directory.remove(name) {
            tracing::warn!(%error, path = %self.directory.path(name).display(), "cannot remove");
        }
    }
}

fn unwritable(path: &Path) -> impl FnOnce(io::Error) -> ClusterError + use<> {
    let path = path.to_owned();
    |source| ClusterError::PidsUnwritable { path, source }
}

/// The workers of which there are notes, and who they are, as far as that is noted too.
fn noted_workers(directory: &Directory) -> BTreeMap<u32, Option<Identity>> {
    let names = directory.names_in().unwrap_or_default();
    let pids = names
        .iter()
        .filter_map(|name| name.strip_prefix("worker.")?.split_once('.')?.0.parse().ok());
    let who =
        |pid| directory.read_identity(&start_file(pid)).filter(|identity| identity.pid == pid);
    pids.map(|pid| (pid, who(pid))).collect()
}

/// A master that runs in another process (or in this one).
#[derive(Debug)]
pub struct Running {
    directory: Directory,
    /// The master itself; `None` where it cannot be seen, in another pid namespace.
    pub master: Option<(u32, OwnedFd)>,
}

impl Running {
    /// Who runs in this directory. Fails with `NotRunning` if nobody does, whatever old files say, or if there is no such
    /// directory; and with `PidsUnreadable` where that cannot be known.
    pub fn find(path: &Path) -> Result<Self> {
        let unreadable =
            |path: PathBuf| move |source| ClusterError::PidsUnreadable { path, source };
        let directory = match Directory::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ClusterError::NotRunning { pids: path.into(), is_missing: true });
            }
            other => other.map_err(unreadable(path.into()))?,
        };
        if !directory.is_locked(LOCK).map_err(unreadable(directory.path(LOCK)))? {
            return Err(ClusterError::NotRunning { pids: path.into(), is_missing: false });
        }
        let master = directory.read_identity(LOCK);
        let master = master.and_then(|identity| Some((identity.pid, identity.open().ok()??)));
        Ok(Self { directory, master })
    }

    /// Connects to the control socket, without ever waiting: `WouldBlock` where too many others do.
    pub fn connect(&self) -> io::Result<UnixStream> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket =
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        rustix::net::connect(&socket, &SocketAddrUnix::new(self.directory.short_path(CONTROL))?)?;
        Ok(UnixStream::from(socket))
    }

    /// Its workers, as far as their notes are true.
    pub fn workers(&self) -> Vec<OwnedFd> {
        noted_workers(&self.directory)
            .into_values()
            .filter_map(|identity| identity?.open().ok()?)
            .collect()
    }

    /// Removes what a master that was killed could not remove itself.
    pub fn clean_up(&self) {
        // Under the lock, so that a new master that came meanwhile keeps its own.
        if let Ok(pids) = Pids::lock(&self.directory.path("")) {
            pids.release();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn me() -> Identity {
        Identity::of(std::process::id()).unwrap()
    }

    #[test]
    fn one_master_a_directory_and_everything_goes_at_the_end() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("deep/pids");
        let mut pids = Pids::claim(&path).unwrap();
        let _socket = pids.listen().unwrap();
        pids.add_worker(std::process::id());
        let mode = std::fs::metadata(path.join(CONTROL)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(Pids::claim(&path).unwrap_err().code(), "CLUSTER2_ERR_ALREADY_RUNNING");
        let running = Running::find(&path).unwrap();
        assert_eq!(running.master.as_ref().unwrap().0, std::process::id());
        assert_eq!(running.workers().len(), 1);
        pids.remove_worker(std::process::id());
        pids.release();
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 0);
        assert!(matches!(
            Running::find(&path),
            Err(ClusterError::NotRunning { is_missing: false, .. })
        ));
    }

    #[test]
    fn every_pid_file_is_one_line_the_pid() {
        let temp = tempfile::tempdir().unwrap();
        let mut pids = Pids::claim(temp.path()).unwrap();
        let me = std::process::id();
        pids.add_worker(me);
        let text = |name: &str| std::fs::read_to_string(temp.path().join(name)).unwrap();
        assert_eq!([text(MASTER), text(&pid_file(me))], [format!("{me}\n"), format!("{me}\n")]);
    }

    #[test]
    fn whoever_holds_the_lock_runs_whatever_its_number_means_here() {
        let temp = tempfile::tempdir().unwrap();
        let directory = Directory::open(temp.path()).unwrap();
        let elsewhere = Identity { started: me().started + 1, ..me() };
        let held = directory.lock(LOCK, elsewhere).unwrap().unwrap();
        let refused = Pids::claim(temp.path()).unwrap_err();
        assert!(matches!(refused, ClusterError::AlreadyRunning { pid: None, .. }), "{refused}");
        assert!(Running::find(temp.path()).unwrap().master.is_none());
        drop(held);
        // A process that another test starts has a copy of the lock until it runs its own program.
        let until = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while Running::find(temp.path()).is_ok() && std::time::Instant::now() < until {
            std::thread::yield_now();
        }
        assert!(Running::find(temp.path()).is_err());
    }

    #[test]
    fn files_without_a_lock_name_nobody_even_if_the_process_lives() {
        let temp = tempfile::tempdir().unwrap();
        Directory::open(temp.path()).unwrap().write_identity(LOCK, me()).unwrap();
        assert!(matches!(
            Running::find(temp.path()),
            Err(ClusterError::NotRunning { is_missing: false, .. })
        ));
    }

    #[test]
    fn notes_of_workers_are_believed_by_number_and_start_time() {
        let temp = tempfile::tempdir().unwrap();
        let directory = Directory::open(temp.path()).unwrap();
        let held = directory.lock(LOCK, me()).unwrap().unwrap();
        let pid = std::process::id();
        directory.write_pid(&pid_file(pid), pid).unwrap();
        let running = Running::find(temp.path()).unwrap();
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
    fn what_somebody_removed_is_made_again() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("pids");
        let mut pids = Pids::claim(&path).unwrap();
        let _first = pids.listen().unwrap();
        pids.add_worker(std::process::id());
        let names = || {
            let names = std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name());
            names.collect::<BTreeSet<_>>()
        };
        let all = names();
        assert!(pids.restore().unwrap().is_none(), "nothing is missing");
        for gone in [&[CONTROL][..], &[MASTER], &[LOCK, MASTER], &[CONTROL, LOCK]] {
            gone.iter().for_each(|name| std::fs::remove_file(path.join(name)).unwrap());
            let socket = pids.restore().unwrap();
            assert_eq!(
                socket.is_some(),
                gone.iter().any(|name| [CONTROL, LOCK].contains(name)),
                "{gone:?}"
            );
            assert_eq!(names(), all);
            assert!(Pids::claim(&path).is_err(), "and it is ours");
        }
        std::fs::remove_dir_all(&path).unwrap();
        let _socket = pids.restore().unwrap().expect("a new socket");
        assert_eq!(names(), all);
        assert!(Running::find(&path).unwrap().connect().is_ok());
        pids.remove_worker(std::process::id());
        pids.release();
        assert!(names().is_empty());
    }

    #[test]
    fn whoever_asks_where_too_many_wait_to_be_accepted_is_told_at_once() {
        let temp = tempfile::tempdir().unwrap();
        let mut pids = Pids::claim(temp.path()).unwrap();
        let _socket = pids.listen().unwrap();
        let running = Running::find(temp.path()).unwrap();
        let connected: Vec<_> =
            std::iter::repeat_with(|| running.connect()).take(2 * BACKLOG as usize).collect();
        let refused: BTreeSet<_> =
            connected.iter().filter_map(|it| it.as_ref().err().map(io::Error::kind)).collect();
        assert_eq!(refused, BTreeSet::from([io::ErrorKind::WouldBlock]));
    }

    #[test]
    fn what_another_cluster_has_taken_meanwhile_is_left_to_it() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("pids");
        let mut first = Pids::claim(&path).unwrap();
        std::fs::remove_dir_all(&path).unwrap();
        let mut second = Pids::claim(&path).unwrap();
        let _socket = second.listen().unwrap();
        assert_eq!(first.restore().unwrap_err().code(), "CLUSTER2_ERR_ALREADY_RUNNING");
        first.release();
        assert!(Running::find(&path).unwrap().connect().is_ok());
        second.release();
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let error = Pids::claim(Path::new("/proc/nowhere/pids")).unwrap_err();
        assert_eq!(error.code(), "CLUSTER2_ERR_PIDS_UNWRITABLE");
        assert!(error.to_string().contains("/proc/nowhere/pids"), "{error}");
    }

    #[test]
    fn no_directory_and_none_that_can_be_read_are_told_apart() {
        let missing = Running::find(Path::new("/nowhere/pids")).unwrap_err();
        assert_eq!(
            (missing.code(), missing.to_string().contains("there is no directory")),
            ("CLUSTER2_ERR_NOT_RUNNING", true)
        );
        let unreadable = Running::find(Path::new("/proc/self/stat")).unwrap_err();
        assert_eq!(unreadable.code(), "CLUSTER2_ERR_PIDS_UNREADABLE");
    }
}
