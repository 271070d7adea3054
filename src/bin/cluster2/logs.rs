//! `cluster2 logs`: the last lines of the files in the logs directory, and lines that are added.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use cluster2_rs::monitor::{MAX_DEPTH, MAX_ENTRIES, format};
use cluster2_rs::os::contained_files;
use cluster2_rs::os::contained_files::FoundFile;
use cluster2_rs::remote;

use super::log_file::open;
use super::{Failed, copy, merged_logs, print, settings};

/// Bytes that are read at once.
const PIECE: usize = 64 * 1024;

/// The last part of the name of a compressed file.
const COMPRESSED: [&str; 5] = ["gz", "xz", "bz2", "zst", "zip"];

/// Runs the command.
pub(crate) fn logs(matches: &ArgMatches) -> Result<(), Failed> {
    let root = settings::directory("logs", matches)?;
    let mut names: Vec<&String> = matches.get_many("files").into_iter().flatten().collect();
    if settings::is_app(matches)? {
        names.remove(0);
    }
    if matches.get_flag("list") {
        return list(&found(&root)?);
    }
    let names: Vec<PathBuf> = match names.is_empty() {
        true => current(found(&root).map_err(|error| explain(error, matches))?),
        false => names.into_iter().map(PathBuf::from).collect(),
    };
    let lines = matches.get_one("tail").copied().unwrap_or_default();
    if !matches.get_flag("follow") {
        let mut printer = Printer { headings: names.len() > 1, last: None };
        return names.iter().try_for_each(|name| printer.copy(&root, name, lines));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(merged_logs::follow(&root, names, lines))
}

/// The names of files that are written to now: neither rotated nor compressed.
fn current(found: Vec<FoundFile>) -> Vec<PathBuf> {
    let names: Vec<PathBuf> = found.into_iter().map(|found| found.name).collect();
    let (current, rotated): (Vec<_>, Vec<_>) =
        names.into_iter().partition(|name| !is_rotated(&name.to_string_lossy()));
    if current.is_empty() { rotated } else { current }
}

/// Whether a file's name is one that rotation gives: `a.log.1`, `a.log-20260131`, `a.log.2.gz`.
fn is_rotated(name: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let Some((_, last)) = name.rsplit_once(['.', '-']) else { return false };
    COMPRESSED.contains(&last) || is_number(last) || last == "old"
}

/// Adds where the output of a cluster that runs here goes, if not into files.
fn explain(error: Failed, matches: &ArgMatches) -> Failed {
    let place = settings::directory("pids", matches)
        .ok()
        .and_then(|pids| remote::glance(&pids))
        .and_then(|status| status["workers"][0]["pid"].as_u64())
        .and_then(|pid| std::fs::read_link(format!("/proc/{pid}/fd/1")).ok());
    let Some(place) = place.map(|place| place.to_string_lossy().into_owned()) else {
        return error;
    };
    let place = match place.split(':').next().unwrap_or_default() {
        "socket" => {
            "a socket that another program reads, such as journald (see journalctl)".to_owned()
        }
        "pipe" => "a pipe, to a program that reads it".to_owned(),
        _ if place.starts_with("/dev/pts/") || place.starts_with("/dev/tty") => {
            format!("the terminal {place}")
        }
        _ => place,
    };
    error.with_more(&format!("; the output of the cluster's workers goes to {place}"))
}

/// Lists the files, the newest last.
fn found(root: &Path) -> Result<Vec<FoundFile>, Failed> {
    let mut found = contained_files::list(root, MAX_DEPTH, MAX_ENTRIES).map_err(|error| {
        Failed::new(format!("cannot read the logs directory {}: {error}", root.display()))
    })?;
    if found.is_empty() {
        let text = format!(
            "there are no files in the logs directory {}: `start --output files` writes some",
            root.display()
        );
        return Err(Failed::new(text));
    }
    found.sort_by_key(|found| found.modified);
    Ok(found)
}

fn list(files: &[FoundFile]) -> Result<(), Failed> {
    let lines = files.iter().map(|file| {
        let size = format::bytes(file.size as f64).replace('\u{a0}', " ");
        format!(
            "{size:>10}  {} ago  {}\n",
            format::age(file.modified).replace('\u{a0}', " "),
            file.name.display()
        )
    });
    print(lines.collect::<String>().as_bytes())
}

/// Prints pieces of several files, with a heading where a piece of another file follows.
struct Printer {
    headings: bool,
    last: Option<PathBuf>,
}

impl Printer {
    fn print(&mut self, name: &Path, piece: &[u8]) -> Result<(), Failed> {
        if self.headings && self.last.as_deref() != Some(name) {
            let blank = if self.last.is_some() { "\n" } else { "" };
            print(format!("{blank}==> {} <==\n", name.display()).as_bytes())?;
            self.last = Some(name.to_owned());
        }
        copy(piece)
    }

    fn copy(&mut self, root: &Path, name: &Path, lines: u64) -> Result<(), Failed> {
        let (mut file, start) = open(root, name, lines)?;
        file.seek(SeekFrom::Start(start))?;
        let mut piece = vec![0; PIECE];
        loop {
            match file.read(&mut piece)? {
                0 => return Ok(()),
                length => self.print(name, &piece[..length])?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_rotated;

    #[test]
    fn rotated_and_compressed_files_are_known_by_their_names() {
        for name in ["a.log.1", "a.log-20260131", "a.log.2.gz", "a-1.zst", "a.log.old"] {
            assert!(is_rotated(name), "{name}");
        }
        for name in ["a.log", "worker-0.out.log", "worker-12.err.log", "access", "a.json"] {
            assert!(!is_rotated(name), "{name}");
        }
    }
}
