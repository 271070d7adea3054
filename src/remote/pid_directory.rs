//! The `pids` directory of this process's master: claims it, keeps its files, restores them.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::pid_files::{CONTROL_SOCKET, LOCK, MASTER_PID, pid_file, recorded_workers, start_file};
use crate::error::{ClusterError, Result};
use crate::os::directory::{Directory, FileId, Lock};
use crate::os::process::Identity;

/// Unaccepted connections of the control socket that may wait.
pub(super) const BACKLOG: i32 = 128;

#[derive(Debug)]
pub(crate) struct PidDirectory {
    path: PathBuf,
    directory: Directory,
    lock: Lock,
    /// `master.pid`, kept open so that no other file gets its inode.
    master_pid: Option<File>,
    /// The control socket's file, once it exists.
    control_socket: Option<FileId>,
    /// The control socket, to be passed on.
    control: Option<OwnedFd>,
    /// Whether commands come here. Not, while another master has the directory too and is asked.
    in_charge: bool,
    workers: BTreeSet<u32>,
}

/// The files of ours that are still in the directory.
struct Present {
    lock: bool,
    master_pid: bool,
    control_socket: Option<FileId>,
}

impl PidDirectory {
    /// Creates the directory if needed, and claims it. Fails with `PidsUnwritable` or
    /// `AlreadyRunning`.
    pub(crate) fn claim(path: &Path) -> Result<Self> {
        let mut claimed = Self::lock(path)?;
        claimed.write_master_pid().inspect_err(|_| claimed.remove(LOCK))?;
        Ok(claimed)
    }

    fn write_master_pid(&mut self) -> Result<()> {
        let written = self.directory.write_pid(MASTER_PID, std::process::id());
        self.master_pid = Some(written.map_err(unwritable(&self.directory.path(MASTER_PID)))?);
        Ok(())
    }

    /// Takes the lock, and removes the files of dead workers that a dead master left behind.
    pub(super) fn lock(path: &Path) -> Result<Self> {
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
        let locked = Self {
            path: path.into(),
            directory,
            lock,
            master_pid: None,
            control_socket: None,
            control: None,
            in_charge: true,
            workers: BTreeSet::new(),
        };
        locked.remove_dead_workers();
        Ok(locked)
    }

    /// Creates the control socket, for this user alone from its first moment on.
    pub(crate) fn listen(&mut self) -> Result<UnixListener> {
        let bound = self.bind().map_err(unwritable(&self.directory.path(CONTROL_SOCKET)))?;
        self.control_socket = self.directory.file(CONTROL_SOCKET).ok().flatten();
        self.control = bound.try_clone().map(OwnedFd::from).ok();
        Ok(bound)
    }

    /// Takes the directory at `path` over from another master, which passed its lock and its
    /// control socket. Nobody is asked here before [`Self::take_charge`]. `None`: that master has
    /// another directory.
    pub(crate) fn adopt(path: &Path, lock: OwnedFd, control: OwnedFd) -> Option<Self> {
        let directory = Directory::open(path).ok()?;
        let lock = directory.adopt_lock(LOCK, lock).ok()??;
        // If it is another file by the time of `take_charge`, the socket has lost its name.
        let control_socket = directory.file(CONTROL_SOCKET).ok().flatten();
        Some(Self {
            path: path.into(),
            directory,
            lock,
            master_pid: None,
            control_socket,
            control: Some(control),
            in_charge: false,
            workers: BTreeSet::new(),
        })
    }

    /// Returns the lock and the control socket, for another master.
    pub(crate) fn copies(&self) -> io::Result<(OwnedFd, OwnedFd)> {
        let control = self.control.as_ref().ok_or(io::ErrorKind::NotFound)?;
        Ok((Directory::share_lock(&self.lock)?, control.try_clone()?))
    }

    /// From now on commands come here. Returns the control socket, and why files still name the
    /// other master, if they do: this process may have given up the right to write them.
    pub(crate) fn take_charge(&mut self) -> (Result<UnixListener>, Option<ClusterError>) {
        let problem = self.name_own().err();
        self.in_charge = true;
        let control = match self.control.as_ref().map(OwnedFd::try_clone) {
            Some(Ok(control)) => Ok(control.into()),
            _ => self.listen(),
        };
        (control, problem)
    }

    /// Writes this process into the files of the former master.
    fn name_own(&mut self) -> Result<()> {
        let me = Identity::of(std::process::id())
            .map_err(ClusterError::system("reading /proc/self/stat"))?;
        let renamed = Directory::rename_owner(&self.lock, me);
        renamed.map_err(unwritable(&self.directory.path(LOCK)))?;
        let written = self.directory.rewrite_pid(MASTER_PID, me.pid);
        self.master_pid = Some(written.map_err(unwritable(&self.directory.path(MASTER_PID)))?);
        Ok(())
    }

    /// Leaves the directory to the other master.
    pub(crate) fn step_back(&mut self) {
        self.in_charge = false;
    }

    pub(crate) fn is_in_charge(&self) -> bool {
        self.in_charge
    }

    fn bind(&self) -> io::Result<UnixListener> {
        // We hold the lock, so a socket that is there belongs to no living process.
        self.directory.remove(CONTROL_SOCKET)?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket =
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        // On Linux the file gets the socket's own mode.
        rustix::fs::fchmod(&socket, Mode::from_raw_mode(0o600))?;
        let address = SocketAddrUnix::new(self.directory.short_path(CONTROL_SOCKET))?;
        rustix::net::bind(&socket, &address)?;
        rustix::net::listen(&socket, BACKLOG)?;
        Ok(UnixListener::from(socket))
    }

    /// Creates removed files again. Returns the control socket if it is a new one.
    pub(crate) fn restore(&mut self) -> Result<Option<UnixListener>> {
        if !self.in_charge {
            return Ok(None);
        }
        let Ok(present) = self.present() else {
            // Unknown is not missing: this process may have given up the right to read.
            return Ok(None);
        };
        if !present.lock {
            let workers = std::mem::take(&mut self.workers);
            match Self::lock(&self.path) {
                Ok(locked) => *self = locked,
                Err(error) => {
                    self.workers = workers;
                    return Err(error);
                }
            }
            workers.into_iter().for_each(|pid| self.add_worker(pid));
        }
        if !present.lock || !present.master_pid {
            // We hold the lock, so a file that is there belongs to no other master.
            match self.directory.remove(MASTER_PID) {
                // After `setuid` it names the master before this one. Commands go by the lock.
                Err(error) if present.lock && error.kind() == io::ErrorKind::PermissionDenied => {}
                removed => {
                    removed.map_err(unwritable(&self.directory.path(MASTER_PID)))?;
                    self.write_master_pid()?;
                }
            }
        }
        if self.control_socket.is_some() && present.control_socket == self.control_socket {
            Ok(None)
        } else {
            self.listen().map(Some)
        }
    }

    fn present(&self) -> io::Result<Present> {
        let names_master_pid = |file| self.directory.names(MASTER_PID, file);
        Ok(Present {
            lock: self.is_ours()?,
            master_pid: self.master_pid.as_ref().map_or(Ok(false), names_master_pid)?,
            control_socket: self.directory.file(CONTROL_SOCKET)?,
        })
    }

    /// Whether the path still leads to our directory and our lock.
    fn is_ours(&self) -> io::Result<bool> {
        Ok(self.directory.is_in_place()? && self.directory.has_lock(LOCK, &self.lock)?)
    }

    /// Writes the files of a worker.
    pub(crate) fn add_worker(&mut self, pid: u32) {
        if let Err(error) = self.write_worker(pid) {
            // [`Self::restore_workers`] tries again, and reports a failure.
            tracing::warn!(%error, pid, "cannot write a worker's pid file");
        }
        self.workers.insert(pid);
    }

    fn write_worker(&self, pid: u32) -> io::Result<()> {
        self.directory.write_identity(&start_file(pid), Identity::of(pid)?)?;
        self.directory.write_pid(&pid_file(pid), pid).map(drop)
    }

    /// Writes missing files of workers again. A process that has given up the right to write them
    /// is not a failure.
    pub(crate) fn restore_workers(&self) -> Result<()> {
        let has = |name: String| matches!(self.directory.file(&name), Ok(Some(_)) | Err(_));
        for pid in self.workers.iter().copied() {
            if has(start_file(pid)) && has(pid_file(pid)) {
                continue;
            }
            match self.write_worker(pid) {
                // A zombie whose exit was not reported yet, or a lack of rights.
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

    /// Removes the files of a worker that has exited.
    pub(crate) fn remove_worker(&mut self, pid: u32) {
        self.workers.remove(&pid);
        self.remove_worker_files(pid);
    }

    /// Removes all our files, the lock last.
    pub(crate) fn release(self) {
        self.remove_dead_workers();
        // If ours were removed, these files may be another cluster's.
        if self.in_charge && matches!(self.is_ours(), Ok(true)) {
            [CONTROL_SOCKET, MASTER_PID, LOCK].into_iter().for_each(|name| self.remove(name));
        }
    }

    pub(crate) fn remove_dead_workers(&self) {
        for (pid, identity) in recorded_workers(&self.directory) {
            if identity.is_none_or(|identity| !matches!(identity.open(), Ok(Some(_)))) {
                self.remove_worker_files(pid);
            }
        }
    }

    fn remove_worker_files(&self, pid: u32) {
        // First the file that people read: another process may get the number.
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
