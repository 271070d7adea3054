//! A worker's standard output and error in files: `worker-<slot>.out.log` and
//! `worker-<slot>.err.log` in the directory `logs`.
//!
//! The master opens them for each worker that it starts. After a rotation each running worker opens
//! its own again. What always holds: files are only appended to, so two workers of a slot, and the
//! two ends of a rotation, never overwrite each other; and a worker has the new files before it
//! closes the old ones, so no line is lost.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use crate::error::{ClusterError, Result};
use crate::os::directory::Directory;

/// Opens standard output and error for a worker of `slot`, in the directory `path`.
pub(crate) fn open(path: &Path, slot: u32) -> Result<[OwnedFd; 2]> {
    let fail = |path: PathBuf| |source| ClusterError::LogsUnwritable { path, source };
    let directory = Directory::create(path).map_err(fail(path.into()))?;
    let append = |stream: &str| {
        let name = format!("worker-{slot}.{stream}.log");
        directory.append(&name).map_err(fail(directory.path(&name)))
    };
    Ok([append("out")?, append("err")?])
}

/// In a worker of `slot`: replaces standard output and error by the files that have their names in
/// `path` now. If that fails, the old ones stay.
pub fn reopen(path: &Path, slot: u32) -> Result<()> {
    let [out, err] = open(path, slot)?;
    let fail = ClusterError::system("replacing standard output and error");
    rustix::stdio::dup2_stdout(out).and_then(|()| rustix::stdio::dup2_stderr(err)).map_err(fail)
}
