//! The lines of several logs that are there already, in the order in which they were written, as
//! far as they say when.
//!
//! What always holds: all lines are read, those of one file in their order; and of each file only
//! one line is in memory.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

use jiff::Timestamp;

use super::line_time;

/// Bytes that are searched for the first time in a file.
const SEARCHED: u64 = 64 * 1024;
/// A longer line is read in pieces.
const LONGEST: u64 = 64 * 1024;

/// The lines of one file from one position to another.
pub(crate) struct PastLines {
    reader: BufReader<io::Take<File>>,
    /// The next line; empty at the end.
    line: Vec<u8>,
    /// When it was written: a line without a time belongs to the one before it.
    time: Timestamp,
}

impl PastLines {
    /// Reads whole lines from `start` on; the last one without an end is left. Returns them, and
    /// where they end. Lines before the first time in the file get that time; in a file without
    /// times, all get the time of its last write.
    pub(crate) fn read(mut file: File, start: u64) -> io::Result<(Self, u64)> {
        let metadata = file.metadata()?;
        let end = end_of_lines(&mut file, start, metadata.len())?;
        file.seek(SeekFrom::Start(start))?;
        let mut begin = Vec::new();
        (&file).take(SEARCHED.min(end - start)).read_to_end(&mut begin)?;
        let first = begin.split(|byte| *byte == b'\n').find_map(line_time::of);
        let modified = || metadata.modified().ok().and_then(|at| Timestamp::try_from(at).ok());
        let time = first.or_else(modified).unwrap_or_default();
        file.seek(SeekFrom::Start(start))?;
        let mut lines =
            Self { reader: BufReader::new(file.take(end - start)), line: Vec::new(), time };
        lines.advance()?;
        Ok((lines, end))
    }

    fn advance(&mut self) -> io::Result<()> {
        self.line.clear();
        (&mut self.reader).take(LONGEST).read_until(b'\n', &mut self.line)?;
        if let Some(time) = line_time::of(&self.line) {
            self.time = time;
        }
        Ok(())
    }
}

/// Returns the position after the last line break between `start` and `end`.
fn end_of_lines(file: &mut File, start: u64, end: u64) -> io::Result<u64> {
    let mut block = Vec::new();
    let mut end = end.max(start);
    while end > start {
        let from = end.saturating_sub(SEARCHED).max(start);
        file.seek(SeekFrom::Start(from))?;
        block.clear();
        (&*file).take(end - from).read_to_end(&mut block)?;
        if let Some(last) = block.iter().rposition(|byte| *byte == b'\n') {
            return Ok(from + last as u64 + 1);
        }
        end = from;
    }
    Ok(start)
}

/// Passes all lines to `print`, with the number of their file: the oldest first, and of the same
/// time those of the first file.
pub(crate) fn merge<E: From<io::Error>>(
    files: &mut [PastLines],
    mut print: impl FnMut(usize, &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    loop {
        let left = files.iter_mut().enumerate().filter(|(_, file)| !file.line.is_empty());
        let Some((number, file)) = left.min_by_key(|(_, file)| file.time) else { return Ok(()) };
        print(number, &file.line)?;
        file.advance()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> File {
        use std::io::Write;
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    #[test]
    fn lines_of_several_files_are_merged_by_their_times() {
        let at = |second: u32, text: &str| format!("2026-01-31T12:00:{second:02}Z {text}\n");
        let first = format!("cut\n{}{}{}", at(10, "a"), "    at a.js:1\n", at(30, "b"));
        let second = format!("{}{}half", at(5, "c"), at(20, "d"));
        let (first, _) = PastLines::read(file(&first), 0).unwrap();
        let (second, half) = PastLines::read(file(&second), 0).unwrap();
        assert_eq!(half, 2 * at(5, "c").len() as u64);
        let (timeless, _) = PastLines::read(file("never\n"), 0).unwrap();
        let (empty, _) = PastLines::read(file(""), 0).unwrap();
        let mut seen = Vec::new();
        merge(&mut [first, second, timeless, empty], |number, line| {
            let text = String::from_utf8_lossy(line).trim_end().to_owned();
            seen.push((number, text.rsplit(' ').next().unwrap_or_default().to_owned()));
            io::Result::Ok(())
        })
        .unwrap();
        let seen: Vec<_> = seen.iter().map(|(number, text)| (*number, text.as_str())).collect();
        let wanted =
            [(1, "c"), (0, "cut"), (0, "a"), (0, "a.js:1"), (1, "d"), (0, "b"), (2, "never")];
        assert_eq!(seen, wanted);
    }
}
