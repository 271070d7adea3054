//! A cluster that runs in another process (or in this one), found through its `pids` directory.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::pid_directory::PidDirectory;
use super::pid_files::{CONTROL_SOCKET, LOCK, recorded_workers};
use crate::error::{ClusterError, Result};
use crate::os::directory::Directory;

#[derive(Debug)]
pub(super) struct RunningCluster {
    directory: Directory,
    /// Pid and pidfd of the master. `None` if it is not visible, in another pid namespace.
    pub(super) master: Option<(u32, OwnedFd)>,
}

impl RunningCluster {
    /// Finds the cluster of the directory at `path`. Fails with `NotRunning` if none runs, whatever
    /// old files say, or if the directory does not exist, and with `PidsUnreadable` if it cannot
    /// be read.
    pub(super) fn find(path: &Path) -> Result<Self> {
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

    /// Connects to the control socket. Never blocks: fails with `WouldBlock` if the backlog is
    /// full.
    pub(super) fn connect(&self) -> io::Result<UnixStream> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket =
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        let address = SocketAddrUnix::new(self.directory.short_path(CONTROL_SOCKET))?;
        rustix::net::connect(&socket, &address)?;
        Ok(UnixStream::from(socket))
    }

    /// Returns a pidfd of each worker that is alive and whose identity is recorded.
    pub(super) fn workers(&self) -> Vec<OwnedFd> {
        recorded_workers(&self.directory)
            .into_values()
            .filter_map(|identity| identity?.open().ok()?)
            .collect()
    }

    /// Removes the files that a killed master could not remove itself.
    pub(super) fn clean_up(&self) {
        // Under the lock, so that a new master that started meanwhile keeps its own files.
        if let Ok(directory) = PidDirectory::lock(&self.directory.path("")) {
            directory.release();
        }
    }
}
