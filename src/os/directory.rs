//! A directory of pid files and sockets, which other users of the machine may try to misuse.
//!
//! Files are opened relative to the directory and never through a symlink. A lock tells whether a
//! cluster runs: the kernel answers, also between pid namespaces, and no number is guessed at. Only
//! the owner's user and root can open a lock file, so that no one else can hold its lock. Asking
//! for a lock takes none.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, fcntl};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};

use super::process::Identity;

/// An open directory.
#[derive(Debug)]
pub struct Directory {
    fd: OwnedFd,
    path: PathBuf,
}

/// A locked file of this process, which names its owner; the lock ends when it is dropped.
#[derive(Debug)]
pub struct Lock(OwnedFd);

/// A file, by device and inode.
pub type FileId = (u64, u64);

/// Returns a lock of the whole file, which belongs to the open file and not to the process.
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
    /// Opens the directory; creates it (0755 less the umask) if it is missing.
    pub fn create(path: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(path)?;
        Self::open(path)
    }

    /// Opens the directory.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        Ok(Self { fd: rustix::fs::open(path, flags, Mode::empty())?, path: path.into() })
    }

    /// Returns the path of `name`, for messages.
    pub fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Returns a path to `name` that is short enough for a socket, however deep the directory is.
    pub fn short_path(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{name}", self.fd.as_raw_fd()))
    }

    /// Whether its path still leads here, because it was neither moved nor removed.
    pub fn is_in_place(&self) -> io::Result<bool> {
        Ok(identify(rustix::fs::stat(&self.path))? == identify(rustix::fs::fstat(&self.fd))?)
    }

    /// Creates the file `name` (0600) and locks it for `owner`. `Ok(None)`: another process holds
    /// the lock.
    pub fn lock(&self, name: &str, owner: Identity) -> io::Result<Option<Lock>> {
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        loop {
            let fd = rustix::fs::openat(&self.fd, name, flags, Mode::RUSR | Mode::WUSR)?;
            match fcntl(&fd, FcntlArg::F_OFD_SETLK(&whole_file(libc::F_WRLCK))) {
                Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EACCES) => return Ok(None),
                other => drop(other?),
            }
            // Between open and lock the last owner may have removed it: then the lock is on a file
            // without a name.
            if !self.names(name, &fd)? {
                continue;
            }
            let mut file = File::from(fd);
            file.set_len(0)?;
            write_to(&mut file, owner)?;
            return Ok(Some(Lock(file.into())));
        }
    }

    /// Whether a process holds the lock of the file `name`; `false` if there is no such file. Fails
    /// if the file may not be opened.
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

    /// Takes over the lock of another process, which passed its open file. `None`: that file has
    /// not this name.
    pub fn adopt_lock(&self, name: &str, fd: OwnedFd) -> io::Result<Option<Lock>> {
        Ok(self.names(name, &fd)?.then_some(Lock(fd)))
    }

    /// Returns another descriptor of a locked file: as long as one is open, it stays locked.
    pub fn share_lock(lock: &Lock) -> io::Result<OwnedFd> {
        lock.0.try_clone()
    }

    /// Writes another owner into a lock file. Readers see the one or the other.
    pub fn rename_owner(lock: &Lock, owner: Identity) -> io::Result<()> {
        overwrite(&lock.0, format!("pid={}\nstarted={}\n", owner.pid, owner.started))
    }

    /// Writes another number into a pid file, in place. Readers see the one or the other. Returns
    /// the open file.
    pub fn rewrite_pid(&self, name: &str, pid: u32) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o644);
        let fd = rustix::fs::openat(&self.fd, name, flags | OFlags::NONBLOCK, mode)?;
        overwrite(&fd, format!("{pid}\n"))?;
        Ok(fd.into())
    }

    /// Whether the lock file still has its name.
    pub fn has_lock(&self, name: &str, lock: &Lock) -> io::Result<bool> {
        self.names(name, &lock.0)
    }

    /// Writes a pid file for people and scripts: one line with the number. Returns the open file.
    pub fn write_pid(&self, name: &str, pid: u32) -> io::Result<File> {
        let mut file = self.replace(name)?;
        writeln!(file, "{pid}")?;
        Ok(file)
    }

    /// Writes the identity of a process, for [`Directory::read_identity`].
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

    /// Reads the identity of a process. `None` for a missing file, invalid content, or a file that
    /// belongs neither to root nor to the owner of the process.
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

    /// Opens the regular file `name` for appending; creates it (0640 less the umask) if it is
    /// missing. Never waits, whatever kind of file it is. `InvalidInput` for anything but a regular
    /// file; a symlink fails with the kernel's error.
    pub fn append(&self, name: &str) -> io::Result<OwnedFd> {
        let flags =
            OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let never_wait = OFlags::NONBLOCK | OFlags::NOCTTY;
        let fd =
            rustix::fs::openat(&self.fd, name, flags | never_wait, Mode::from_raw_mode(0o640))?;
        if FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode) != FileType::RegularFile {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
        }
        // From now on it is an ordinary file, which blocks.
        rustix::fs::fcntl_setfl(&fd, OFlags::APPEND)?;
        Ok(fd)
    }

    /// Returns the names in it.
    pub fn names_in(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.fd)? {
            names.extend(entry?.file_name().to_str().map(str::to_owned));
        }
        Ok(names)
    }

    /// Removes `name`, if it is there.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.fd, name, AtFlags::empty()) {
            Err(rustix::io::Errno::NOENT) => Ok(()),
            other => Ok(other?),
        }
    }

    /// Returns which file `name` is; `None` if there is none.
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

/// Replaces what is in a small file by one write. What is longer than the text is cut afterwards,
/// and is empty lines until then.
fn overwrite(fd: &OwnedFd, text: String) -> io::Result<()> {
    let length = text.len() as u64;
    let before = u64::try_from(rustix::fs::fstat(fd)?.st_size).unwrap_or(0).min(1_024);
    let padding = "\n".repeat(before.saturating_sub(length) as usize);
    rustix::io::pwrite(fd, (text + &padding).as_bytes(), 0)?;
    Ok(rustix::fs::ftruncate(fd, length)?)
}

/// Writes names too, so that no script that reads more files than it should takes a number for a
/// pid.
fn write_to(file: &mut File, identity: Identity) -> io::Result<()> {
    writeln!(file, "pid={}\nstarted={}", identity.pid, identity.started)
}

#[cfg(test)]
#[path = "directory_tests.rs"]
mod tests;
