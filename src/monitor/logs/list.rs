//! The list of log files.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::percent::encode;
use crate::monitor::disk::blocking;
use crate::monitor::response::PageError;
use crate::os::contained_files;
use crate::protocol::time::Time;

/// The depth to which directories are listed.
pub const MAX_DEPTH: u32 = 4;
/// The number of directory entries that are read for a list.
pub const MAX_ENTRIES: usize = 10_000;
/// The number of files in a list.
const MAX_FILES: usize = 1000;
/// Endings of the names of files that a browser downloads instead of showing them.
const BINARY: [&str; 12] = [
    "br",
    "bz2",
    "cpuprofile",
    "gz",
    "heapsnapshot",
    "lz4",
    "rar",
    "tar",
    "tgz",
    "xz",
    "zip",
    "zst",
];

/// One file of the list. Its JSON is part of the interface.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct LogFile {
    /// Its path below the directory, with a replacement for invalid UTF-8.
    pub(crate) name: String,
    /// The exact path, percent-encoded.
    #[serde(skip)]
    pub(crate) link: String,
    /// Whether a browser shows it.
    #[serde(skip)]
    pub(crate) is_text: bool,
    /// Bytes.
    pub(crate) size: u64,
    pub(crate) modified: Time,
}

/// Returns the files below `root`, newest first. A missing directory has none.
pub(crate) async fn list(root: PathBuf) -> Result<Vec<LogFile>, PageError> {
    let found = blocking(move || contained_files::list(&root, MAX_DEPTH, MAX_ENTRIES)).await?;
    let mut found = match found {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        other => other.map_err(PageError::internal)?,
    };
    found.sort_by(|one, other| {
        other.modified.cmp(&one.modified).then_with(|| one.name.cmp(&other.name))
    });
    found.truncate(MAX_FILES);
    Ok(found.into_iter().map(LogFile::from).collect())
}

impl From<contained_files::FoundFile> for LogFile {
    fn from(found: contained_files::FoundFile) -> Self {
        Self {
            name: found.name.to_string_lossy().into_owned(),
            link: encode(found.name.as_os_str().as_bytes()),
            is_text: !is_binary(&found.name),
            size: found.size,
            modified: Time(found.modified),
        }
    }
}

pub(super) fn is_binary(name: &Path) -> bool {
    let ending = name.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| BINARY.iter().any(|binary| binary.eq_ignore_ascii_case(ending)))
}
