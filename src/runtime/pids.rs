//! The `pids` directory: who runs here, and how to reach them.
//!
//! `master.pid` is locked by the running master for as long as it lives, so whether one runs is the kernel's word.
//! `worker.<pid>.pid` lie beside it for the day the master does not answer; `control.sock` (0600) is how it is asked.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;

use rustix::fs::Mode;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::error::{ClusterError, Result};
use crate::sys::directory::{Directory, PidFile};
use crate::sys::process::Identity;

const MASTER: &str = "master.pid";
const CONTROL: &str = "control.sock";

/// The directory, claimed by this process's master.
#[derive(Debug)]
pub struct Pids {
    directory: Directory,
    _lock: PidFile,
}

fn worker_file(pid: u32) -> String {
    format!("worker.{pid}.pid")
}

impl Pids {
    /// Makes the directory where needed and claims it. Fails with `PidsUnwritable` or `AlreadyRunning`.
    pub fn claim(path: &Path) -> Result<Self> {
        let unwritable = |path: &Path| {
            let path = path.to_owned();
            |source| ClusterError::PidsUnwritable { path, source }
        };
        let directory = Directory::create(path).map_err(unwritable(path))?;
        let me = Identity::of(std::process::id()).map_err(ClusterError::system("reading /proc/self/stat"))?;
        let lock = directory.lock_pid_file(MASTER, me).map_err(unwritable(&directory.path(MASTER)))?;
        let Some(lock) = lock else {
            let pid = directory.read_pid_file(MASTER).map(|identity| identity.pid);
            return Err(ClusterError::AlreadyRunning { pids: path.into(), pid });
        };
        let pids = Self { directory, _lock: lock };
        pids.sweep();
        Ok(pids)
    }

    /// Creates the control socket, for this user alone from its first moment on.
    pub fn listen(&self) -> Result<UnixListener> {
        let fail = |source: rustix::io::Errno| ClusterError::PidsUnwritable {
            path: self.directory.path(CONTROL),
            source: source.into(),
        };
        // We hold the lock, so whatever lies there belongs to nobody alive.
        self.directory.remove(CONTROL).map_err(ClusterError::system("removing an old control socket"))?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).map_err(fail)?;
        // On Linux the file gets the socket's own mode.
        rustix::fs::fchmod(&socket, Mode::from_raw_mode(0o600)).map_err(fail)?;
        let address = SocketAddrUnix::new(self.directory.short_path(CONTROL)).map_err(fail)?;
        rustix::net::bind(&socket, &address).map_err(fail)?;
        rustix::net::listen(&socket, 64).map_err(fail)?;
        Ok(UnixListener::from(socket))
    }

    /// Leaves a note of a worker.
    pub fn add_worker(&self, pid: u32) {
        let written = Identity::of(pid).and_then(|identity| self.directory.write_pid_file(&worker_file(pid), identity));
        if let Err(error) = written {
            tracing::warn!(%error, pid, "cannot write a worker's pid file");
        }
    }

    /// Removes the note of a worker that is gone.
    pub fn remove_worker(&self, pid: u32) {
        self.remove(&worker_file(pid));
    }

    /// Removes everything that is ours, at the end. The lock goes last.
    pub fn release(self) {
        self.sweep();
        self.remove(CONTROL);
        self.remove(MASTER);
    }

    /// Removes the notes of workers that are gone.
    fn sweep(&self) {
        for (name, identity) in worker_notes(&self.directory) {
            if identity.is_none_or(|identity| !matches!(identity.open(), Ok(Some(_)))) {
                self.remove(&name);
            }
        }
    }

    fn remove(&self, name: &str) {
        if let Err(error) = self.directory.remove(name) {
            tracing::warn!(%error, path = %self.directory.path(name).display(), "cannot remove");
        }
    }
}

fn worker_notes(directory: &Directory) -> Vec<(String, Option<Identity>)> {
    let names = directory.names_in().unwrap_or_default();
    let notes = names.into_iter().filter(|name| name.starts_with("worker.") && name.ends_with(".pid"));
    notes.map(|name| (directory.read_pid_file(&name), name)).map(|(identity, name)| (name, identity)).collect()
}

/// A master that runs in another process (or in this one).
#[derive(Debug)]
pub struct Running {
    directory: Directory,
    /// The master's process id.
    pub pid: u32,
    /// The master itself.
    pub pidfd: OwnedFd,
}

impl Running {
    /// Who runs in this directory; `None` if nobody does, whatever old files say.
    pub fn find(path: &Path) -> Option<Self> {
        let directory = Directory::open(path).ok()?;
        if !directory.is_locked(MASTER) {
            return None;
        }
        let identity = directory.read_pid_file(MASTER)?;
        let pidfd = identity.open().ok()??;
        Some(Self { directory, pid: identity.pid, pidfd })
    }

    /// Connects to the control socket.
    pub fn connect(&self) -> std::io::Result<std::os::unix::net::UnixStream> {
        std::os::unix::net::UnixStream::connect(self.directory.short_path(CONTROL))
    }

    /// Its workers, as far as their notes are true.
    pub fn workers(&self) -> Vec<OwnedFd> {
        let notes = worker_notes(&self.directory);
        notes.into_iter().filter_map(|(_, identity)| identity?.open().ok()?).collect()
    }

    /// Removes what a master that was killed could not remove itself.
    pub fn clean_up(&self) {
        // Under the lock, so that a new master that came meanwhile keeps its own.
        if let Ok(pids) = Pids::claim(&self.directory.path("")) {
            pids.release();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn one_master_a_directory_and_everything_goes_at_the_end() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("deep/pids");
        let pids = Pids::claim(&path).unwrap();
        let _socket = pids.listen().unwrap();
        pids.add_worker(std::process::id());
        let mode = std::fs::metadata(path.join(CONTROL)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(Pids::claim(&path).unwrap_err().code(), "CLUSTER2_ERR_ALREADY_RUNNING");
        assert_eq!(Running::find(&path).unwrap().pid, std::process::id());
        pids.remove_worker(std::process::id());
        pids.release();
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 0);
        assert!(Running::find(&path).is_none());
    }

    #[test]
    fn a_pid_file_without_a_lock_names_nobody_even_if_the_process_lives() {
        let temp = tempfile::tempdir().unwrap();
        let me = Identity::of(std::process::id()).unwrap();
        Directory::open(temp.path()).unwrap().write_pid_file(MASTER, me).unwrap();
        assert!(Running::find(temp.path()).is_none());
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let error = Pids::claim(Path::new("/proc/nowhere/pids")).unwrap_err();
        assert_eq!(error.code(), "CLUSTER2_ERR_PIDS_UNWRITABLE");
        assert!(error.to_string().contains("/proc/nowhere/pids"), "{error}");
    }
}
