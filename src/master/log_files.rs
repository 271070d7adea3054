//! Workers' standard output and error in files, `worker-<slot>.out.log` and `worker-<slot>.err.log` in the directory `logs`.
//!
//! The master opens them for each worker that it starts; after a rotation each running worker opens its own anew. They are
//! only ever appended to, so that two workers of a slot, and the two ends of a rotation, never write over each other; and a worker
//! has the new files before it lets go of the old ones, so that no line is lost.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::config::{Config, Output};
use crate::error::{ClusterError, Result};
use crate::os::directory::Directory;
use crate::protocol::worker::WorkerId;
use crate::remote::server::Reply;

/// The directory of a cluster whose workers write into files.
#[derive(Debug)]
pub struct Logs(PathBuf);

impl Logs {
    /// `None` if they do not. Makes the directory and the files of the first workers, so that what is wrong with them fails the
    /// start, with `LogsUnwritable`. A script that knows of us finds the directory in any case, for what it writes there itself.
    pub fn prepare(config: &Config, is_plain: bool) -> Result<Option<Self>> {
        if config.output != Output::Files {
            if !is_plain && let Err(error) = std::fs::create_dir_all(&config.logs) {
                tracing::info!(%error, path = %config.logs.display(), "cannot make the directory of logs");
            }
            return Ok(None);
        }
        let logs = Self(std::path::absolute(&config.logs).unwrap_or_else(|_| config.logs.clone()));
        (0..config.no_workers).try_for_each(|slot| logs.open(slot).map(drop))?;
        Ok(Some(logs))
    }

    /// The directory, absolute.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What a worker of `slot` gets as standard output and error.
    pub fn open(&self, slot: u32) -> Result<[OwnedFd; 2]> {
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

/// In a worker of `slot`: from now on standard output and error are the files that have their names in `path` now. If that
/// fails, the old ones stay.
pub fn reopen(path: &Path, slot: u32) -> Result<()> {
    let [out, err] = open(path, slot)?;
    let fail = ClusterError::system("replacing standard output and error");
    rustix::stdio::dup2_stdout(out).and_then(|()| rustix::stdio::dup2_stderr(err)).map_err(fail)
}

/// Who waits until workers have opened their files anew.
#[derive(Default)]
pub struct Reopening(Vec<(BTreeSet<WorkerId>, usize, Reply)>);

impl Reopening {
    /// `reply` is answered when all of `workers` have, or are gone.
    pub fn wait(&mut self, workers: BTreeSet<WorkerId>, reply: Reply) {
        let count = workers.len();
        self.0.push((workers, count, reply));
        self.answer();
    }

    /// One has, or is gone.
    pub fn done(&mut self, worker: WorkerId) {
        for (workers, ..) in &mut self.0 {
            workers.remove(&worker);
        }
        self.answer();
    }

    fn answer(&mut self) {
        for (_, count, reply) in self.0.extract_if(.., |(workers, ..)| workers.is_empty()) {
            reply(Ok(json!({ "workers": count })));
        }
    }
}
