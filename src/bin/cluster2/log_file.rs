//! One file in the logs directory.

use std::io;
use std::path::Path;

use cluster2_rs::monitor::start_of_last;
use cluster2_rs::os::contained_files;

use super::Failed;

/// Opens a file. Returns it, and where its last `lines` begin.
pub(crate) fn open(root: &Path, name: &Path, lines: u64) -> Result<(std::fs::File, u64), Failed> {
    let opened = || {
        let file = contained_files::open(root, name)?;
        let start = start_of_last(&file, file.metadata()?.len(), lines)?;
        io::Result::Ok((file, start))
    };
    opened().map_err(|error| {
        // So it is also for what lies elsewhere, and is not opened.
        let why = match error.kind() {
            io::ErrorKind::NotFound => format!(
                "there is no such file in {}; `cluster2 logs --list` shows all",
                root.display()
            ),
            _ => error.to_string(),
        };
        Failed::new(format!("cannot read the log {}: {why}", root.join(name).display()))
    })
}
