//! The file of a unix socket: whether it is still ours, and its permissions.
//!
//! What always holds: no other file is taken for it. A file that is open keeps its number, so a
//! later one cannot have the same. Between the binding of a socket and the opening of its file
//! another process may remove the one and bind its own; so all that bind or remove lock the
//! directory meanwhile, and only somebody else, such as a script, could still do that.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;

/// How long to wait for the lock of a directory, milliseconds. Ours are held for a few system
/// calls; somebody else's may be held for long.
const PATIENCE: u32 = 20;

/// The state of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileState {
    /// It is there.
    Ours,
    /// It was removed.
    Gone,
    /// Another file has its path.
    Replaced,
}

/// The file of a socket that this process bound.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    /// `None`: the path does not lead to it any more.
    file: Option<fs::File>,
    /// Its permissions, as last read. `None`: they are not known.
    pub mode: Option<u32>,
}

impl SocketFile {
    /// Describes the file of the socket that was just bound, or one that was removed since.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let (file, mode) = match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(fd) => {
                let file = fs::File::from(fd);
                let mode = file.metadata()?.mode() & 0o777;
                (Some(file), Some(mode))
            }
            Err(Errno::NOENT) => (None, None),
            Err(error) => return Err(error.into()),
        };
        Ok(Self { path: path.into(), file, mode })
    }

    /// Describes the same file, of which it turned out that another one has its path.
    pub(crate) fn disowned(self) -> Self {
        Self { file: None, ..self }
    }

    /// Returns its state.
    pub(crate) fn state(&self) -> FileState {
        match fs::symlink_metadata(&self.path) {
            Ok(meta) if self.is(&meta) => FileState::Ours,
            Err(error) if error.kind() == io::ErrorKind::NotFound => FileState::Gone,
            _ => FileState::Replaced,
        }
    }

    fn is(&self, meta: &fs::Metadata) -> bool {
        let own = self.file.as_ref().and_then(|file| file.metadata().ok());
        own.is_some_and(|own| (own.dev(), own.ino()) == (meta.dev(), meta.ino()))
    }

    /// Reads its permissions. `or_other`: those of another socket that has its path now count too.
    pub(crate) fn refresh_mode(&mut self, or_other: bool) {
        let counts =
            |meta: &fs::Metadata| self.is(meta) || or_other && meta.file_type().is_socket();
        if let Some(meta) = fs::symlink_metadata(&self.path).ok().filter(counts) {
            self.mode = Some(meta.mode() & 0o777);
        }
    }

    /// Sets its permissions, never those of another file that has its path now.
    pub(crate) fn set_mode(&mut self, mode: u32) -> io::Result<()> {
        if let Some(file) = self.file.as_ref().filter(|_| self.mode != Some(mode)) {
            let open = format!("/proc/self/fd/{}", file.as_raw_fd());
            fs::set_permissions(open, Permissions::from_mode(mode))?;
            self.mode = Some(mode);
        }
        Ok(())
    }

    /// Removes it, if it is still there.
    pub(crate) fn remove(&self) {
        let _lock = lock_directory(&self.path);
        if self.state() == FileState::Ours {
            // If it was removed in between, that is as good.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Keeps other masters from binding a socket on this path, and from removing one, until the result
/// is dropped. `None`: it cannot be locked, or not in time.
pub(super) fn lock_directory(path: &Path) -> Option<OwnedFd> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory =
        rustix::fs::open(parent.unwrap_or(Path::new(".")), flags, Mode::empty()).ok()?;
    for _ in 0..PATIENCE {
        match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Some(directory),
            Err(Errno::WOULDBLOCK | Errno::INTR) => std::thread::sleep(Duration::from_millis(1)),
            Err(_) => break,
        }
    }
    None
}

/// Paths of unix sockets.
pub(crate) mod path {
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;

    /// Whether it is a name without a file.
    pub(crate) fn is_abstract(path: &Path) -> bool {
        path.as_os_str().as_bytes().first() == Some(&0)
    }

    /// Shows a path to people: an abstract name begins with `@`.
    pub(crate) fn show(path: &Path) -> String {
        let text = path.to_string_lossy();
        match text.strip_prefix('\0') {
            Some(name) => format!("@{}", name.trim_end_matches('\0')),
            None => text.into_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_file_is_known_by_more_than_its_path() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sock");
        let _first = UnixListener::bind(&path).unwrap();
        let mut file = SocketFile::of(&path).unwrap();
        file.set_mode(0o600).unwrap();
        assert_eq!(
            (file.state(), SocketFile::of(&path).unwrap().mode),
            (FileState::Ours, Some(0o600))
        );
        fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        file.refresh_mode(false);
        assert_eq!(file.mode, Some(0o666));
        fs::remove_file(&path).unwrap();
        assert_eq!(file.state(), FileState::Gone);
        fs::write(&path, "another").unwrap();
        file.refresh_mode(true);
        assert_eq!(file.mode, Some(0o666), "no socket");
        file.set_mode(0o777).unwrap();
        file.remove();
        assert_eq!(
            (file.state(), fs::read_to_string(&path).unwrap().as_str()),
            (FileState::Replaced, "another")
        );
        assert_ne!(fs::metadata(&path).unwrap().mode() & 0o777, 0o777);
    }

    #[test]
    fn a_later_file_with_the_number_of_a_removed_one_is_not_taken_for_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sock");
        drop(UnixListener::bind(&path).unwrap());
        let file = SocketFile::of(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let _later = UnixListener::bind(&path).unwrap();
        file.remove();
        assert_eq!((file.state(), path.exists()), (FileState::Replaced, true));
    }

    #[test]
    fn a_directory_that_somebody_else_has_locked_is_waited_for_in_vain_and_not_for_long() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sock");
        let locked = lock_directory(&path).unwrap();
        let began = std::time::Instant::now();
        assert!(lock_directory(&path).is_none());
        assert!(began.elapsed() < Duration::from_secs(2));
        drop(locked);
        assert!(lock_directory(&path).is_some());
    }

    #[test]
    fn an_abstract_name_is_shown_as_others_show_it() {
        assert_eq!(path::show(Path::new("\0name\0\0")), "@name");
        assert_eq!(path::show(Path::new("/run/a.sock")), "/run/a.sock");
    }
}
