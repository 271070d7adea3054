//! A directory of pid files and sockets, which several users of one machine may try to play tricks with.
//!
//! Files are opened relative to the directory and never through a symlink. A pid file is locked for as long as its
//! owner lives, so that whether somebody runs is the kernel's word and not a guess about a number.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags};

use super::process::Identity;

/// How often a lock is tried that nobody alive seems to hold, and the pause between two tries.
const LOCK_ATTEMPTS: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// An open directory.
#[derive(Debug)]
pub struct Directory {
    fd: OwnedFd,
    path: PathBuf,
}

/// A pid file of this process's own; the lock goes with it.
#[derive(Debug)]
pub struct PidFile {
    _locked: File,
}

impl Directory {
    /// Opens the directory, making it (0755 less the umask) where it is missing.
    pub fn create(path: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(path)?;
        Self::open(path)
    }

    /// Opens the directory.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        Ok(Self { fd: rustix::fs::open(path, flags, Mode::empty())?, path: path.into() })
    }

    /// The path it was opened by, with `name` in it, for messages.
    pub fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A path to `name` that is short enough for a socket however deep the directory lies.
    pub fn short_path(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{name}", self.fd.as_raw_fd()))
    }

    /// Creates and locks a pid file for `identity`. `Ok(None)`: the process that it names is alive and holds it.
    ///
    /// Whoever can read the file can lock it for reading, and who asks whether somebody runs does so for a moment. A lock
    /// without an owner who is alive is waited for, and then left behind with its file.
    pub fn lock_pid_file(&self, name: &str, identity: Identity) -> io::Result<Option<PidFile>> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        for attempt in 1.. {
            let fd = rustix::fs::openat(&self.fd, name, flags, Mode::from_raw_mode(0o644))?;
            match rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive) {
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    let owner = self.read_pid_file(name).map(Identity::open).transpose()?.flatten();
                    if owner.is_some() {
                        return Ok(None);
                    }
                    if attempt >= LOCK_ATTEMPTS && self.names(name, &fd)? {
                        self.remove(name)?;
                    }
                    std::thread::sleep(LOCK_PAUSE);
                    continue;
                }
                other => other?,
            }
            // Between open and lock the last owner may have removed it: then the lock is on a file without a name.
            if !self.names(name, &fd)? {
                continue;
            }
            let mut file = File::from(fd);
            file.set_len(0)?;
            writeln!(file, "{}\n{}", identity.pid, identity.started)?;
            return Ok(Some(PidFile { _locked: file }));
        }
        Ok(None)
    }

    /// Whether somebody alive holds the pid file.
    pub fn is_locked(&self, name: &str) -> bool {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let Ok(fd) = rustix::fs::openat(&self.fd, name, flags, Mode::empty()) else { return false };
        rustix::fs::flock(&fd, FlockOperation::NonBlockingLockShared) == Err(rustix::io::Errno::WOULDBLOCK)
    }

    /// Writes a pid file that nobody holds a lock on, replacing a stale one.
    pub fn write_pid_file(&self, name: &str, identity: Identity) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.fd, name, flags, Mode::from_raw_mode(0o644))?;
        writeln!(File::from(fd), "{}\n{}", identity.pid, identity.started)
    }

    /// Who a pid file names. `None` for a missing one, nonsense, or a file that belongs neither to root nor to
    /// the owner of the process.
    pub fn read_pid_file(&self, name: &str) -> Option<Identity> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.fd, name, flags, Mode::empty()).ok()?;
        let owner = rustix::fs::fstat(&fd).ok()?.st_uid;
        let mut text = String::new();
        File::from(fd).take(64).read_to_string(&mut text).ok()?;
        let mut lines = text.lines();
        let identity = Identity { pid: lines.next()?.parse().ok()?, started: lines.next()?.parse().ok()? };
        let process = rustix::fs::stat(format!("/proc/{}", identity.pid)).ok()?;
        (owner == 0 || process.st_uid == owner).then_some(identity)
    }

    /// Opens the regular file `name` for appending, making it (0640 less the umask) where it is missing, without ever waiting for
    /// whatever it is. What is no regular file is `InvalidInput`; a symlink fails as the kernel says.
    pub fn append(&self, name: &str) -> io::Result<OwnedFd> {
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let never_wait = OFlags::NONBLOCK | OFlags::NOCTTY;
        let fd = rustix::fs::openat(&self.fd, name, flags | never_wait, Mode::from_raw_mode(0o640))?;
        if FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode) != FileType::RegularFile {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
        }
        // Whoever gets it writes as to any file.
        rustix::fs::fcntl_setfl(&fd, OFlags::APPEND)?;
        Ok(fd)
    }

    /// The names in it.
    pub fn names_in(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.fd)? {
            names.extend(entry?.file_name().to_str().map(str::to_owned));
        }
        Ok(names)
    }

    /// Removes `name`; that it is gone already is fine.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.fd, name, AtFlags::empty()) {
            Err(rustix::io::Errno::NOENT) => Ok(()),
            other => Ok(other?),
        }
    }

    /// Whether `name` is the open file `fd`.
    fn names(&self, name: &str, fd: &OwnedFd) -> io::Result<bool> {
        let open = rustix::fs::fstat(fd)?;
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(named) => Ok((named.st_dev, named.st_ino) == (open.st_dev, open.st_ino)),
            Err(rustix::io::Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn me() -> Identity {
        Identity::of(std::process::id()).unwrap()
    }

    #[test]
    fn a_pid_file_is_held_by_one_and_a_stale_one_is_taken_over() {
        let temp = tempfile::tempdir().unwrap();
        let directory = Directory::create(&temp.path().join("pids")).unwrap();
        std::fs::write(directory.path("master.pid"), "999999\n1\n").unwrap();
        let held = directory.lock_pid_file("master.pid", me()).unwrap().expect("stale: nobody holds the lock");
        assert_eq!(directory.read_pid_file("master.pid"), Some(me()));
        assert!(directory.lock_pid_file("master.pid", me()).unwrap().is_none());
        drop(held);
        assert!(directory.lock_pid_file("master.pid", me()).unwrap().is_some());
    }

    #[test]
    fn a_symlink_in_place_of_a_pid_file_is_not_followed() {
        let temp = tempfile::tempdir().unwrap();
        let victim = temp.path().join("victim");
        std::fs::write(&victim, "precious").unwrap();
        let directory = Directory::open(temp.path()).unwrap();
        std::os::unix::fs::symlink(&victim, directory.path("master.pid")).unwrap();
        assert!(directory.lock_pid_file("master.pid", me()).is_err());
        assert!(directory.write_pid_file("master.pid", me()).is_err());
        assert!(directory.read_pid_file("master.pid").is_none());
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
        assert_eq!(mode & 0o137, 0, "nobody but the owner writes, and others do not read");
        std::os::unix::fs::symlink(directory.path("app.log"), directory.path("link")).unwrap();
        let fifo = directory.path("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let _reader = rustix::fs::open(&fifo, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()).unwrap();
        for name in ["link", "fifo", ".", "missing/app.log"] {
            assert!(directory.append(name).is_err(), "{name}");
        }
    }

    #[test]
    fn nonsense_in_a_pid_file_names_nobody() {
        let temp = tempfile::tempdir().unwrap();
        let directory = Directory::open(temp.path()).unwrap();
        for nonsense in ["", "12", "-1\n5\n", "x\ny\n", "99999999999999999999\n1\n"] {
            std::fs::write(directory.path("a.pid"), nonsense).unwrap();
            assert_eq!(directory.read_pid_file("a.pid"), None, "{nonsense:?}");
        }
    }
}
