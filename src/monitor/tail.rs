//! The end of a file: where its last lines begin, and what is appended to it.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncSeekExt, SeekFrom};

use crate::monitor::logs::read_piece;
use crate::monitor::respond::{Pieces, blocking};
use crate::os::contained_files;

/// How much is searched for the beginnings of lines; lines that are longer than this together begin in their middle.
const SEARCHED: u64 = 16 << 20;
/// How much is read at once, from the end backwards.
const BLOCK: u64 = 64 * 1024;
/// How often a file that is followed is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Where the last `lines` lines of a file of `size` bytes begin. A line break at the very end begins no line.
pub fn start_of_last(file: &File, size: u64, lines: u64) -> io::Result<u64> {
    if lines == 0 {
        return Ok(size);
    }
    let mut block = vec![0; BLOCK as usize];
    let (mut end, mut left) = (size, lines);
    let lowest = size.saturating_sub(SEARCHED);
    while end > lowest {
        let start = end.saturating_sub(BLOCK).max(lowest);
        let block = &mut block[..(end - start) as usize];
        file.read_exact_at(block, start)?;
        for (index, _) in block.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            let after = start + index as u64 + 1;
            if after == size {
                continue;
            }
            left -= 1;
            if left == 0 {
                return Ok(after);
            }
        }
        end = start;
    }
    Ok(lowest)
}

/// Sends what is appended to a file, until nobody reads any more. A file that was truncated or replaced is read from its new
/// beginning on; what was replaced is read to its end first. One that vanished is waited for.
pub struct Follower {
    root: PathBuf,
    name: PathBuf,
    file: tokio::fs::File,
    position: u64,
}

impl Follower {
    /// From byte `position` of `file` on, which is `name` beneath `root`.
    pub fn new(root: PathBuf, name: PathBuf, file: File, position: u64) -> Self {
        Self { root, name, file: tokio::fs::File::from_std(file), position }
    }

    /// Sends. A file that cannot be read any more cuts the connection.
    pub async fn run(mut self, pieces: Pieces) {
        if let Err(error) = self.follow(&pieces).await {
            pieces.fail(error).await;
        }
    }

    async fn follow(&mut self, pieces: &Pieces) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.position)).await?;
        loop {
            // Looked for before the old one is read to its end: whoever writes went on to the new one before.
            let replacement = self.replacement().await?;
            if !self.send_rest(pieces).await? {
                return Ok(());
            }
            match replacement {
                Some(file) => (self.file, self.position) = (file, 0),
                None => tokio::time::sleep(LOOK_EVERY).await,
            }
            if self.file.metadata().await?.len() < self.position {
                self.position = 0;
                self.file.seek(SeekFrom::Start(0)).await?;
            }
        }
    }

    /// Sends up to the present end. False: nobody reads any more.
    async fn send_rest(&mut self, pieces: &Pieces) -> io::Result<bool> {
        loop {
            let piece = read_piece(&mut self.file).await?;
            if piece.is_empty() {
                return Ok(true);
            }
            self.position += piece.len() as u64;
            if !pieces.send(piece).await {
                return Ok(false);
            }
        }
    }

    /// The file that has the name now, if it is another one.
    async fn replacement(&self) -> io::Result<Option<tokio::fs::File>> {
        let (root, name) = (self.root.clone(), self.name.clone());
        let ours = self.file.metadata().await?;
        let looked = blocking(move || {
            let file = contained_files::open(&root, &name)?;
            let theirs = file.metadata()?;
            io::Result::Ok(
                ((theirs.dev(), theirs.ino()) != (ours.dev(), ours.ino())).then_some(file),
            )
        });
        match looked.await {
            Ok(Ok(replacement)) => Ok(replacement.map(tokio::fs::File::from_std)),
            Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Ok(Err(error)) => Err(error),
            Err(problem) => Err(io::Error::other(problem.text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_found_from_the_end() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("log");
        let last = |text: &str, lines| {
            std::fs::write(&path, text).unwrap();
            let start =
                start_of_last(&File::open(&path).unwrap(), text.len() as u64, lines).unwrap();
            text[start as usize..].to_owned()
        };
        assert_eq!(last("one\ntwo\nthree\n", 2), "two\nthree\n");
        assert_eq!(last("one\ntwo\nthree", 2), "two\nthree");
        assert_eq!(last("one\ntwo\n", 9), "one\ntwo\n");
        assert_eq!(last("one\ntwo\n", 0), "");
        assert_eq!(last("\n\n\n", 1), "\n");
        assert_eq!(last("", 1), "");
        let long = format!("{}\n{}\nend\n", "a".repeat(100_000), "b".repeat(200_000));
        assert_eq!(last(&long, 2), long[100_001..]);
        assert_eq!(last(&"line\n".repeat(50_000), 30_000), "line\n".repeat(30_000));
    }
}
