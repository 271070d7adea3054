//! Workers' standard output and error in files: `worker-<slot>.out.log` and `worker-<slot>.err.log`
//! in the directory `logs`.
//!
//! The master opens them for each worker that it starts. After a rotation each running worker opens
//! its own again. What always holds: files are only appended to, so two workers of a slot, and the
//! two ends of a rotation, never overwrite each other; and a worker has the new files before it
//! closes the old ones, so no line is lost.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use crate::config::{Config, Output};
use crate::error::{ClusterError, Result};
use crate::os::directory::Directory;

/// The log files of a cluster with `output: 'files'`.
#[derive(Debug)]
pub(super) struct LogFiles(PathBuf);

impl LogFiles {
    /// Creates the directory and the files of the first workers, so that a problem with them fails
    /// the start with `LogsUnwritable`. Returns `None` if workers do not write into files; the
    /// directory is created all the same for a script that knows of cluster2 and may write there.
    pub(super) fn prepare(config: &Config, is_plain: bool) -> Result<Option<Self>> {
        let directory = &config.logs;
        if config.output != Output::Files {
            if !is_plain && let Err(error) = std::fs::create_dir_all(directory) {
                let path = directory.display();
                tracing::info!(%error, %path, "cannot create the directory of logs");
            }
            return Ok(None);
        }
        let logs = Self(std::path::absolute(directory).unwrap_or_else(|_| directory.clone()));
        (0..config.no_workers).try_for_each(|slot| logs.open(slot).map(drop))?;
        Ok(Some(logs))
    }

    /// The directory, absolute.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Opens standard output and error for a worker of `slot`.
    pub(super) fn open(&self, slot: u32) -> Result<[OwnedFd; 2]> {
        open(&self.0, slot)
    }
}

fn open(path: &Path, slot: u32) -> Result<[OwnedFd; 2]> {
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
pub(crate) fn reopen(path: &Path, slot: u32) -> Result<()> {
    let [out, err] = open(path, slot)?;
    let fail = ClusterError::system("replacing standard output and error");
    rustix::stdio::dup2_stdout(out).and_then(|()| rustix::stdio::dup2_stderr(err)).map_err(fail)
}
