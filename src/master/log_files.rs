//! The log files of all workers, for the master: it opens them for each worker that it starts, and
//! reads what a worker that ended wrote last.

use std::io::{Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use super::last_lines;
use crate::config::{Config, Output};
use crate::error::Result;
use crate::os::contained_files;
use crate::worker_logs;

/// The bytes that are searched for the last lines of a worker that is gone.
const LAST_BYTES: u64 = 2_000;

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
        (0..config.no_workers + config.spares).try_for_each(|slot| logs.open(slot).map(drop))?;
        Ok(Some(logs))
    }

    /// The directory, absolute.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Returns the last lines that the worker of `slot` wrote to standard error, oldest first. Its
    /// file had `size` bytes when it started, and `until` when the next worker did; a shorter one
    /// was rotated since. Whatever wrote them counts: Node itself, V8, an addon. Fails without
    /// words: they are only for people.
    pub(super) fn last_lines(&self, slot: u32, size: u64, until: Option<u64>) -> Vec<String> {
        let read = || -> std::io::Result<Vec<u8>> {
            let name = format!("worker-{slot}.err.log");
            let mut file = contained_files::open(&self.0, name.as_ref())?;
            let end = file.metadata()?.len().min(until.unwrap_or(u64::MAX));
            let from = if end < size { 0 } else { size };
            let from = file.seek(SeekFrom::Start(from.max(end.saturating_sub(LAST_BYTES))))?;
            let mut text = Vec::new();
            file.take(end.saturating_sub(from)).read_to_end(&mut text)?;
            Ok(text)
        };
        last_lines::of(&read().unwrap_or_default())
    }

    /// Opens standard output and error for a worker of `slot`.
    pub(super) fn open(&self, slot: u32) -> Result<[OwnedFd; 2]> {
        worker_logs::open(&self.0, slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_those_of_the_worker_itself() {
        let temp = tempfile::tempdir().unwrap();
        let logs = LogFiles(temp.path().to_owned());
        let file = temp.path().join("worker-3.err.log");
        let before = "of an earlier worker\n";
        std::fs::write(&file, format!("{before}one\r\n\n\u{1b}[31mtwo\n")).unwrap();
        let size = before.len() as u64;
        assert_eq!(logs.last_lines(3, size, None), ["one", "two"]);
        let of_the_next = std::fs::metadata(&file).unwrap().len() - 4;
        assert_eq!(logs.last_lines(3, size, Some(of_the_next)), ["one"]);
        std::fs::write(&file, "rotated\n").unwrap();
        assert_eq!(logs.last_lines(3, size, None), ["rotated"]);
        assert_eq!(logs.last_lines(4, 0, None), [""; 0]);
    }
}
