//! Following a log file.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncSeekExt, SeekFrom};

use crate::monitor::chunks::ChunkSender;
use crate::monitor::disk::{blocking, read_chunk};
use crate::os::contained_files;

/// The time between two checks of a followed file.
const POLL_EVERY: Duration = Duration::from_millis(500);

/// Sends what is appended to a file, until nobody reads any more. Reads a truncated or replaced
/// file from its beginning, after the end of the replaced one. Waits for a file that vanished.
pub struct Follower {
    root: PathBuf,
    name: PathBuf,
    file: tokio::fs::File,
    position: u64,
}

impl Follower {
    /// Follows `file`, which is `name` below `root`, from byte `position`.
    pub fn new(root: PathBuf, name: PathBuf, file: File, position: u64) -> Self {
        Self { root, name, file: tokio::fs::File::from_std(file), position }
    }

    /// Runs until nobody reads any more, or until the file cannot be read; that ends the stream
    /// with an error.
    pub async fn run(mut self, sender: ChunkSender) {
        if let Err(error) = self.follow(&sender).await {
            sender.fail(error).await;
        }
    }

    async fn follow(&mut self, sender: &ChunkSender) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.position)).await?;
        loop {
            // Before the old file is read to its end, since its writer continues in the new one.
            let replacement = self.replacement().await?;
            if !self.send_rest(sender).await? {
                return Ok(());
            }
            match replacement {
                Some(file) => (self.file, self.position) = (file, 0),
                None => tokio::time::sleep(POLL_EVERY).await,
            }
            if self.file.metadata().await?.len() < self.position {
                self.position = 0;
                self.file.seek(SeekFrom::Start(0)).await?;
            }
        }
    }

    /// Sends up to the present end. Returns `false` if nobody reads any more.
    async fn send_rest(&mut self, sender: &ChunkSender) -> io::Result<bool> {
        loop {
            let chunk = read_chunk(&mut self.file).await?;
            if chunk.is_empty() {
                return Ok(true);
            }
            self.position += chunk.len() as u64;
            if !sender.send(chunk).await {
                return Ok(false);
            }
        }
    }

    /// Returns the file that has the name now, if it is another one.
    async fn replacement(&self) -> io::Result<Option<tokio::fs::File>> {
        let (root, name) = (self.root.clone(), self.name.clone());
        let ours = self.file.metadata().await?;
        let opened = blocking(move || {
            let file = contained_files::open(&root, &name)?;
            let theirs = file.metadata()?;
            io::Result::Ok(
                ((theirs.dev(), theirs.ino()) != (ours.dev(), ours.ino())).then_some(file),
            )
        });
        match opened.await {
            Ok(Ok(replacement)) => Ok(replacement.map(tokio::fs::File::from_std)),
            Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Ok(Err(error)) => Err(error),
            Err(error) => Err(io::Error::other(error.text)),
        }
    }
}
