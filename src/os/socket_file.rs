//! The file of a unix socket: whether it is still ours, and its permissions.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

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
    device: u64,
    inode: u64,
    /// Its permissions, as last read. `None`: they are not known.
    pub mode: Option<u32>,
}

impl SocketFile {
    /// Describes the file of the socket that was just bound.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let meta = fs::symlink_metadata(path)?;
        Ok(Self {
            path: path.into(),
            device: meta.dev(),
            inode: meta.ino(),
            mode: Some(meta.mode() & 0o777),
        })
    }

    /// Describes a file that was removed before it was seen.
    pub(crate) fn removed(path: &Path) -> Self {
        Self { path: path.into(), device: 0, inode: 0, mode: None }
    }

    /// Describes the same file, of which it turned out that another one has its path.
    pub(crate) fn disowned(self) -> Self {
        Self { device: 0, inode: 0, ..self }
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
        (meta.dev(), meta.ino()) == (self.device, self.inode)
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
        if self.mode == Some(mode) {
            return Ok(());
        }
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = fs::File::from(rustix::fs::open(&self.path, flags, Mode::empty())?);
        if self.is(&file.metadata()?) {
            fs::set_permissions(
                format!("/proc/self/fd/{}", file.as_raw_fd()),
                Permissions::from_mode(mode),
            )?;
            self.mode = Some(mode);
        }
        Ok(())
    }

    /// Removes it, if it is still there.
    pub(crate) fn remove(&self) {
        if self.state() == FileState::Ours {
            // If it was removed in between, that is as good.
            let _ = fs::remove_file(&self.path);
        }
    }
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
    fn an_abstract_name_is_shown_as_others_show_it() {
        assert_eq!(path::show(Path::new("\0name\0\0")), "@name");
        assert_eq!(path::show(Path::new("/run/a.sock")), "/run/a.sock");
    }
}
