//! A directory of pid files and sockets, which several users of one machine may try to play tricks with.
//!
//! Files are opened relative to the directory and never through a symlink. Whether somebody runs is a lock, and so the
//! kernel's word, also between pid namespaces, and not a guess about a number. Only the owner's user and root can open a
//! lock file, so that nobody else can hold its lock. Who asks takes no lock, and so is in nobody's way.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, fcntl};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};

use crate::os::process::Identity;

/// An open directory.
#[derive(Debug)]
pub struct Directory {
    fd: OwnedFd,
    path: PathBuf,
}

/// A lock file of this process's own, which names this process; the lock goes with it.
#[derive(Debug)]
pub struct Lock(OwnedFd);

/// Which file that is, by device and inode.
pub type FileId = (u64, u64);

/// A lock of the whole file, which belongs to the open file and not to the process.
fn whole_file(kind: i32) -> libc::flock {
    libc::flock {
        l_type: kind as i16,
        l_whence: libc::SEEK_SET as i16,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
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

    /// Whether its path still leads here: somebody may have moved or removed it.
    pub fn is_in_place(&self) -> io::Result<bool> {
        Ok(identify(rustix::fs::stat(&self.path))? == identify(rustix::fs::fstat(&self.fd))?)
    }

    /// Creates the file `name` (0600) and locks it for `owner`. `Ok(None)`: somebody else holds it.
    pub fn lock(&self, name: &str, owner: Identity) -> io::Result<Option<Lock>> {
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        loop {
            let fd = rustix::fs::openat(&self.fd, name, flags, Mode::RUSR | Mode::WUSR)?;
            match fcntl(&fd, FcntlArg::F_OFD_SETLK(&whole_file(libc::F_WRLCK))) {
                Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EACCES) => return Ok(None),
                other => drop(other?),
            }
            // Between open and lock the last owner may have removed it: then the lock is on a file without a name.
            if !self.names(name, &fd)? {
                continue;
            }
            let mut file = File::from(fd);
            file.set_len(0)?;
            write_to(&mut file, owner)?;
            return Ok(Some(Lock(file.into())));
        }
    }

    /// Whether somebody holds the lock file `name`. Fails where it may not be opened; that there is none is no failure.
    pub fn is_locked(&self, name: &str) -> io::Result<bool> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = match rustix::fs::openat(&self.fd, name, flags, Mode::empty()) {
            Err(rustix::io::Errno::NOENT) => return Ok(false),
            other => other?,
        };
        let mut found = whole_file(libc::F_RDLCK);
        fcntl(&fd, FcntlArg::F_OFD_GETLK(&mut found))?;
        Ok(i32::from(found.l_type) != libc::F_UNLCK)
    }

    /// Whether the lock file is still found under its name.
    pub fn has_lock(&self, name: &str, lock: &Lock) -> io::Result<bool> {
        self.names(name, &lock.0)
    }

    /// Writes a pid file for people and scripts: one line, the number. Returns the open file.
    pub fn write_pid(&self, name: &str, pid: u32) -> io::Result<File> {
        let mut file = self.replace(name)?;
        writeln!(file, "{pid}")?;
        Ok(file)
    }

    /// Writes who a process is, for [`Directory::read_identity`].
    pub fn write_identity(&self, name: &str, identity: Identity) -> io::Result<()> {
        write_to(&mut self.replace(name)?, identity)
    }

    fn replace(&self, name: &str) -> io::Result<File> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(
            &self.fd,
            name,
            flags | OFlags::NONBLOCK,
            Mode::from_raw_mode(0o644),
        )?
        .into())
    }

    /// Who that file names. `None` for a missing one, nonsense, or a file that belongs neither to root nor to the owner of
    /// the process.
    pub fn read_identity(&self, name: &str) -> Option<Identity> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.fd, name, flags, Mode::empty()).ok()?;
        let owner = rustix::fs::fstat(&fd).ok()?.st_uid;
        let mut text = String::new();
        File::from(fd).take(64).read_to_string(&mut text).ok()?;
        let field =
            |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        let identity =
            Identity { pid: field("pid")?.parse().ok()?, started: field("started")?.parse().ok()? };
        let process = rustix::fs::stat(format!("/proc/{}", identity.pid)).ok()?;
        (owner == 0 || process.st_uid == owner).then_some(identity)
    }

    /// Opens the regular file `name` for appending, making it (0640 less the umask) where it is missing, without ever waiting for
    /// whatever it is. What is no regular file is `InvalidInput`; a symlink fails as the kernel says.
    pub fn append(&self, name: &str) -> io::Result<OwnedFd> {
        let flags =
            OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let never_wait = OFlags::NONBLOCK | OFlags::NOCTTY;
        let fd =
            rustix::fs::openat(&self.fd, name, flags | never_wait, Mode::from_raw_mode(0o640))?;
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

    /// Which file `name` is; `None` if there is none.
    pub fn file(&self, name: &str) -> io::Result<Option<FileId>> {
        identify(rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW))
    }

    /// Whether `name` is the open file `fd`.
    pub fn names(&self, name: &str, fd: impl AsFd) -> io::Result<bool> {
        Ok(self.file(name)? == identify(rustix::fs::fstat(fd))?)
    }
}

fn identify(stat: rustix::io::Result<rustix::fs::Stat>) -> io::Result<Option<FileId>> {
    match stat {
        Ok(stat) => Ok(Some((stat.st_dev, stat.st_ino))),
        Err(rustix::io::Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// With names, so that no script that reads more files than it should takes a number for a pid.
fn write_to(file: &mut File, identity: Identity) -> io::Result<()> {
    writeln!(file, "pid={}\nstarted={}", identity.pid, identity.started)
}

#[cfg(test)]
mod tests {
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
        let held = directory.lock("lock", me()).unwrap().expect("nobody holds the lock");
        assert_eq!(directory.read_identity("lock"), Some(me()));
        assert!(directory.is_locked("lock").unwrap());
        assert!(directory.lock("lock", me()).unwrap().is_none());
        assert!(directory.has_lock("lock", &held).unwrap());
        directory.remove("lock").unwrap();
        assert!(!directory.has_lock("lock", &held).unwrap());
        drop(held);
        assert!(directory.lock("lock", me()).unwrap().is_some());
        let mode = rustix::fs::stat(directory.path("lock")).unwrap().st_mode;
        assert_eq!(mode & 0o777, 0o600, "nobody else can lock it");
    }

    #[test]
    fn a_lock_that_is_only_read_keeps_nobody_away() {
        let temp = tempfile::tempdir().unwrap();
        let directory = Directory::open(temp.path()).unwrap();
        drop(directory.lock("lock", me()).unwrap());
        let held = directory.lock("lock", me()).unwrap().unwrap();
        assert!(directory.is_locked("lock").unwrap(), "who asks holds nothing afterwards");
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
        assert_eq!(mode & 0o137, 0, "nobody but the owner writes, and others do not read");
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
    fn nonsense_in_a_file_names_nobody() {
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
}
