//! `cluster2 logs --follow` with several files: whole lines of all of them as they are written,
//! each with the name of its file before it.
//!
//! What always holds: a line is printed whole, and lines of one file in their order. Lines of
//! several files come in the order in which they were seen to be written. Those that were there
//! before come first, in the order of their times (`past_lines`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anstyle::{AnsiColor, Color, Style};
use cluster2_rs::monitor::{Follower, chunk_channel};
use tokio::sync::mpsc;

use super::log_file::open;
use super::past_lines::{PastLines, merge};
use super::{Failed, copy, print};

/// The colours of files, in turn.
const COLOURS: [AnsiColor; 6] = [
    AnsiColor::Cyan,
    AnsiColor::Green,
    AnsiColor::Yellow,
    AnsiColor::Magenta,
    AnsiColor::Blue,
    AnsiColor::BrightCyan,
];
/// A line that is longer is printed in pieces.
const LONGEST: usize = 64 * 1024;

/// Prints the last `lines` of each file, and what is added, until it is ended.
pub(crate) async fn follow(root: &Path, names: Vec<PathBuf>, lines: u64) -> Result<(), Failed> {
    let mut merger = Merger::new(&names);
    let mut starts = Vec::new();
    let mut past = Vec::new();
    for name in &names {
        let (file, start) = open(root, name, lines)?;
        let (lines, end) = PastLines::read(file.try_clone()?, start)?;
        past.push(lines);
        starts.push((file, end));
    }
    merge(&mut past, |number, line| merger.add(&names[number], line))?;
    let (all, mut pieces) = mpsc::channel(1);
    for (name, (file, start)) in names.into_iter().zip(starts) {
        let (sender, mut received) = chunk_channel();
        tokio::spawn(Follower::new(root.to_owned(), name.clone(), file, start).run(sender));
        let all = all.clone();
        tokio::spawn(async move {
            while let Some(piece) = received.recv().await {
                if all.send((name.clone(), piece)).await.is_err() {
                    return;
                }
            }
        });
    }
    drop(all);
    while let Some((name, piece)) = pieces.recv().await {
        match piece {
            Ok(piece) => merger.add(&name, &piece)?,
            Err(error) => {
                let text = format!("cannot read the log {}: {error}", name.display());
                return Err(Failed::new(text));
            }
        }
    }
    Ok(())
}

/// One followed file.
struct Followed {
    /// Before each of its lines; empty where there is only one file.
    prefix: String,
    /// The beginning of a line whose end is still to come.
    begun: Vec<u8>,
}

struct Merger(BTreeMap<PathBuf, Followed>);

impl Merger {
    fn new(names: &[PathBuf]) -> Self {
        let labels: Vec<String> = names.iter().map(|name| label(&name.to_string_lossy())).collect();
        let width = labels.iter().map(String::len).max().unwrap_or_default();
        let prefix = |index: usize, label: &str| {
            if names.len() == 1 {
                return String::new();
            }
            let colour = COLOURS[index % COLOURS.len()];
            let style = Style::new().fg_color(Some(Color::Ansi(colour)));
            format!("{style}{label:<width$} |{style:#} ")
        };
        let files = names.iter().zip(labels).enumerate().map(|(index, (name, label))| {
            let followed = Followed { prefix: prefix(index, &label), begun: Vec::new() };
            (name.clone(), followed)
        });
        Self(files.collect())
    }

    /// Prints the lines that `piece` completes.
    fn add(&mut self, name: &Path, piece: &[u8]) -> Result<(), Failed> {
        let Some(followed) = self.0.get_mut(name) else { return Ok(()) };
        if followed.prefix.is_empty() {
            return copy(piece);
        }
        followed.begun.extend_from_slice(piece);
        let last = followed.begun.iter().rposition(|byte| *byte == b'\n');
        let end = match last {
            Some(last) => last + 1,
            None if followed.begun.len() > LONGEST => followed.begun.len(),
            None => return Ok(()),
        };
        for line in followed.begun[..end].split_inclusive(|byte| *byte == b'\n') {
            print(followed.prefix.as_bytes())?;
            copy(line)?;
            if !line.ends_with(b"\n") {
                copy(b"\n")?;
            }
        }
        followed.begun.drain(..end);
        Ok(())
    }
}

/// What stands for a file: the slot and stream of one that `--output files` writes, or its name.
fn label(name: &str) -> String {
    let own = name.strip_prefix("worker-").and_then(|rest| {
        let (slot, stream) = rest.strip_suffix(".log")?.split_once('.')?;
        let is_number = !slot.is_empty() && slot.bytes().all(|byte| byte.is_ascii_digit());
        (is_number && ["out", "err"].contains(&stream)).then(|| format!("{slot} {stream}"))
    });
    own.unwrap_or_else(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::label;

    #[test]
    fn a_file_of_a_worker_is_shown_by_its_slot() {
        assert_eq!(label("worker-3.out.log"), "3 out");
        assert_eq!(label("worker-12.err.log"), "12 err");
        assert_eq!(label("worker-x.err.log"), "worker-x.err.log");
        assert_eq!(label("access.log"), "access.log");
    }
}
