//! Files within a directory, for readers who must not get any other file, whatever path they name.
//!
//! The kernel resolves the path (`openat2`): it never leaves the directory and never goes through a
//! symlink. Only regular files are opened. The directory itself is the caller's and may be a
//! symlink.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

/// A regular file within a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundFile {
    /// Its path, relative to the directory.
    pub name: PathBuf,
    /// Its size, bytes.
    pub size: u64,
    /// When it was last written to.
    pub modified: SystemTime,
}

/// Opens the regular file `name` within `root` for reading. Never waits, whatever kind of file it
/// is. `NotFound` for anything but a regular file within `root`.
pub fn open(root: &Path, name: &Path) -> io::Result<File> {
    let root = directory(CWD, root, OFlags::PATH)?;
    // Checked before it is opened, because opening a device or a FIFO already has an effect, and
    // again afterwards, because it may be another file by then.
    regular(resolve(&root, name, OFlags::PATH)?)?;
    let file = resolve(&root, name, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?;
    regular(file).map(File::from)
}

/// Lists the regular files within `root` and up to `depth` directories further down, in no order.
/// Reads at most `most` entries. Leaves out symlinks, files that vanish meanwhile, and directories
/// that may not be read.
pub fn list(root: &Path, depth: u32, most: usize) -> io::Result<Vec<FoundFile>> {
    let mut found = Vec::new();
    let mut left = most;
    walk(&directory(CWD, root, OFlags::RDONLY)?, Path::new(""), depth, &mut left, &mut found)?;
    Ok(found)
}

fn walk(
    parent: &OwnedFd,
    at: &Path,
    depth: u32,
    left: &mut usize,
    found: &mut Vec<FoundFile>,
) -> Result<(), Errno> {
    for entry in Dir::read_from(parent)? {
        let entry = entry?;
        let name = Path::new(std::ffi::OsStr::from_bytes(entry.file_name().to_bytes()));
        if matches!(name.as_os_str().as_bytes(), b"." | b"..") {
            continue;
        }
        let Some(fewer) = left.checked_sub(1) else { return Ok(()) };
        *left = fewer;
        let Ok(stat) = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) else {
            continue;
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                found.push(FoundFile {
                    name: at.join(name),
                    size: stat.st_size as u64,
                    modified: modified(&stat),
                });
            }
            FileType::Directory if depth > 0 => {
                let Ok(child) = directory(parent, name, OFlags::RDONLY | OFlags::NOFOLLOW) else {
                    continue;
                };
                // If it cannot be read, only its own files are missing.
                let _ = walk(&child, &at.join(name), depth - 1, left, found);
            }
            _ => {}
        }
    }
    Ok(())
}

fn directory(parent: impl AsFd, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(parent, path, flags | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

fn resolve(root: &OwnedFd, name: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match rustix::fs::openat2(root, name, flags | OFlags::CLOEXEC, Mode::empty(), how) {
        // Outside, a symlink, no directory on the way, no name, a name that no file can have.
        Err(
            Errno::XDEV
            | Errno::LOOP
            | Errno::NOTDIR
            | Errno::INVAL
            | Errno::NAMETOOLONG
            | Errno::NXIO,
        ) => Err(io::ErrorKind::NotFound.into()),
        other => Ok(other?),
    }
}

fn regular(file: OwnedFd) -> io::Result<OwnedFd> {
    match FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) {
        FileType::RegularFile => Ok(file),
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

fn modified(stat: &Stat) -> SystemTime {
    // A time before 1970 is shown as 1970.
    SystemTime::UNIX_EPOCH
        + Duration::new(u64::try_from(stat.st_mtime).unwrap_or(0), stat.st_mtime_nsec as u32)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    /// `logs` with files, beside a secret.
    fn files() -> (tempfile::TempDir, PathBuf) {
        let temp = tempfile::tempdir().unwrap();
        let logs = temp.path().join("logs");
        std::fs::create_dir_all(logs.join("old/er")).unwrap();
        std::fs::write(temp.path().join("secret"), "secret").unwrap();
        std::fs::write(logs.join("app.log"), "hello").unwrap();
        std::fs::write(logs.join("old/er/app.log"), "old").unwrap();
        std::os::unix::fs::symlink(temp.path().join("secret"), logs.join("link")).unwrap();
        std::os::unix::fs::symlink("app.log", logs.join("harmless")).unwrap();
        std::os::unix::fs::symlink(temp.path(), logs.join("up")).unwrap();
        rustix::fs::mknodat(CWD, logs.join("fifo"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
            .unwrap();
        (temp, logs)
    }

    #[test]
    fn a_file_within_is_opened() {
        let (_temp, logs) = files();
        for (name, text) in
            [("app.log", "hello"), ("old/er/app.log", "old"), ("./old/../app.log", "hello")]
        {
            let mut found = String::new();
            open(&logs, Path::new(name)).unwrap().read_to_string(&mut found).unwrap();
            assert_eq!(found, text);
        }
    }

    #[test]
    fn nothing_else_is_opened() {
        let (temp, logs) = files();
        let absolute = temp.path().join("secret");
        let names = [
            "../secret",
            "old/../../secret",
            "link",
            "harmless",
            "up/secret",
            "fifo",
            "old",
            ".",
            "..",
            "",
            "a\0b",
        ];
        let names = names.into_iter().map(Path::new).chain([
            absolute.as_path(),
            Path::new("/dev/null"),
            Path::new("/proc/self/environ"),
        ]);
        for name in names {
            assert_eq!(
                open(&logs, name).map_err(|error| error.kind()).err(),
                Some(io::ErrorKind::NotFound),
                "{name:?}"
            );
        }
        std::os::unix::fs::symlink("/proc/self/root", logs.join("magic")).unwrap();
        assert!(open(&logs, Path::new("magic/etc/passwd")).is_err());
    }

    #[test]
    fn a_list_has_regular_files_only_and_ends() {
        let (_temp, logs) = files();
        let names = |depth, most| {
            let mut names: Vec<_> =
                list(&logs, depth, most).unwrap().into_iter().map(|found| found.name).collect();
            names.sort();
            names
        };
        assert_eq!(names(4, 100), [Path::new("app.log"), Path::new("old/er/app.log")]);
        assert_eq!(names(1, 100), [Path::new("app.log")]);
        assert!(names(4, 0).is_empty());
        assert_eq!(list(&logs.join("none"), 4, 100).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
