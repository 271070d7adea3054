//! `cluster2 logs`: the last lines of the files in the logs directory, and lines that are added.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use cluster2_rs::monitor::{
    Follower, MAX_DEPTH, MAX_ENTRIES, chunk_channel, format, start_of_last,
};
use cluster2_rs::os::contained_files;
use cluster2_rs::os::contained_files::FoundFile;
use tokio::sync::mpsc;

use super::{Failed, copy, print, settings};

/// Bytes that are read at once.
const PIECE: usize = 64 * 1024;

/// Runs the command.
pub fn logs(matches: &ArgMatches) -> Result<(), Failed> {
    let root = settings::directory("logs", matches)?;
    let names: Vec<&String> = matches.get_many("files").into_iter().flatten().collect();
    if matches.get_flag("list") {
        return list(&found(&root)?);
    }
    let names: Vec<PathBuf> = match names.is_empty() {
        true => found(&root)?.into_iter().map(|found| found.name).collect(),
        false => names.into_iter().map(PathBuf::from).collect(),
    };
    let lines = matches.get_one("tail").copied().unwrap_or_default();
    let mut printer = Printer { headings: names.len() > 1, last: None };
    if !matches.get_flag("follow") {
        return names.iter().try_for_each(|name| printer.copy(&root, name, lines));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(printer.follow(&root, names, lines))
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

/// Opens a file. Returns it, and where its last `lines` begin.
fn open(root: &Path, name: &Path, lines: u64) -> Result<(std::fs::File, u64), Failed> {
    let opened = || {
        let file = contained_files::open(root, name)?;
        let start = start_of_last(&file, file.metadata()?.len(), lines)?;
        io::Result::Ok((file, start))
    };
    opened().map_err(|error| {
        Failed::new(format!("cannot read the log {}: {error}", root.join(name).display()))
    })
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

    async fn follow(&mut self, root: &Path, names: Vec<PathBuf>, lines: u64) -> Result<(), Failed> {
        let (all, mut pieces) = mpsc::channel(1);
        for name in names {
            let (file, start) = open(root, &name, lines)?;
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
                Ok(piece) => self.print(&name, &piece)?,
                Err(error) => {
                    return Err(Failed::new(format!(
                        "cannot read the log {}: {error}",
                        name.display()
                    )));
                }
            }
        }
        Ok(())
    }
}
