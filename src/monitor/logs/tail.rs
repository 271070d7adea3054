//! The position of the last lines of a file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// The number of bytes that are searched for line breaks. Longer lines begin in their middle.
const MAX_SEARCHED: u64 = 16 << 20;
/// The size of a read, bytes. Reads go backwards from the end.
const BLOCK: u64 = 64 * 1024;
/// Returns the position of the last `lines` lines of a file of `size` bytes. A line break at the
/// very end begins no line.
pub fn start_of_last(file: &File, size: u64, lines: u64) -> io::Result<u64> {
    if lines == 0 {
        return Ok(size);
    }
    let mut block = vec![0; BLOCK as usize];
    let (mut end, mut left) = (size, lines);
    let lowest = size.saturating_sub(MAX_SEARCHED);
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
