//! `cluster2 profile` and `cluster2 heap`: a look inside a worker by Node's inspector.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::ArgMatches;
use cluster2_rs::monitor::format::plain_bytes;
use cluster2_rs::protocol::Inspection;
use cluster2_rs::protocol::control::Command;

use super::line::note;
use super::{Failed, commands, print, settings};

/// How often progress is shown.
const SHOW_EVERY: Duration = Duration::from_secs(1);

/// A profile is written within so many seconds after it was taken, unless the worker is stuck.
const GRACE: u64 = 2;

/// Runs `profile`.
pub(crate) fn profile(matches: &ArgMatches) -> Result<(), Failed> {
    let seconds = matches.get_one::<u32>("seconds").copied().unwrap_or_default();
    let (pid, path) = (pid(matches), path(matches, "cpuprofile")?);
    note(&format!("asking worker {pid} for {seconds} s, in which it is a little slower"));
    let inspection = Inspection::Profile { seconds, path: text(&path)? };
    run(matches, inspection, &path, |elapsed| {
        let elapsed = elapsed.as_secs();
        if elapsed <= u64::from(seconds) + GRACE {
            return format!("{} of {seconds} s", elapsed.min(seconds.into()));
        }
        format!(
            "worker {pid} is busy, and has not answered for {elapsed} s: 'cluster2 stack {pid}' \
             shows what it executes"
        )
    })
}

/// Runs `heap`.
pub(crate) fn heap(matches: &ArgMatches) -> Result<(), Failed> {
    let (pid, path) = (pid(matches), path(matches, "heapsnapshot")?);
    note(&format!(
        "worker {pid} answers nothing until its snapshot is written, a second or more for each \
        100 MiB, and needs about as much memory again; the other workers go on"
    ));
    let inspection = Inspection::Heap { path: text(&path)? };
    run(matches, inspection, &path, |elapsed| {
        let size = std::fs::metadata(&path).map_or(0, |file| file.len());
        let what = match size {
            0 => "looking".to_owned(),
            _ => format!("{} written", plain_bytes(size)),
        };
        format!("{what}, for {} s", elapsed.as_secs())
    })
}

fn pid(matches: &ArgMatches) -> u32 {
    matches.get_one::<u32>("pid").copied().unwrap_or_default()
}

/// The file: as `--file` says, or a new name in the working directory.
fn path(matches: &ArgMatches, extension: &str) -> Result<PathBuf, Failed> {
    let named = matches.get_one::<String>("file").map(PathBuf::from);
    let now = jiff::Zoned::now().strftime("%Y%m%d-%H%M%S").to_string();
    let path = named.unwrap_or_else(|| format!("worker-{}-{now}.{extension}", pid(matches)).into());
    settings::absolute(&path)
}

fn text(path: &Path) -> Result<String, Failed> {
    path.to_str()
        .map(str::to_owned)
        .ok_or_else(|| Failed::usage(format!("{}: the path is not UTF-8", path.display())))
}

fn run(
    matches: &ArgMatches,
    inspection: Inspection,
    path: &Path,
    progress: impl Fn(Duration) -> String,
) -> Result<(), Failed> {
    let pids = settings::directory("pids", matches)?;
    let command = Command::Inspect { pid: pid(matches), inspection };
    let begun = Instant::now();
    commands::ask_meanwhile(&pids, command, SHOW_EVERY, || note(&progress(begun.elapsed())))?;
    let size = std::fs::metadata(path).map_or(0, |file| file.len());
    print(format!("{} ({})\n", path.display(), plain_bytes(size)).as_bytes())
}
