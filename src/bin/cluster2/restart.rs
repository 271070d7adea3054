//! `cluster2 restart`: the master of `start` ends its cluster gracefully and starts again in the
//! same process, with new options, Node and program, which a reload cannot give it.
//!
//! What always holds: what runs is only ended if a `check` with the same command line, in the same
//! directory and environment, finds nothing wrong.

use std::env;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};
use std::time::Duration;
use std::{fs, io, iter};

use clap::ArgMatches;
use cluster2_rs::counts::counted;
use cluster2_rs::os::handover;
use cluster2_rs::os::origin::{CALLED_AS, ProcessOrigin, working_directory_by_symlink};
use cluster2_rs::protocol::control::Command;
use cluster2_rs::remote;
use serde_json::Value;

use super::{Failed, commands, line, print, settings};

/// How often the new cluster is polled.
const POLL_EVERY: Duration = Duration::from_millis(100);
/// Where `bin/cluster2` says which package it belongs to.
const PACKAGE: &str = "CLUSTER2_PACKAGE";

/// Returns how this process was started, for one that is started in the same way. Call it at the
/// start. Where the working directory was reached by a symlink, paths below it lead through that:
/// after a deploy, the symlink's new target is meant.
pub(crate) fn origin() -> ProcessOrigin {
    let mut origin = ProcessOrigin::read();
    let real = env::current_dir().unwrap_or_default();
    let by_symlink = |path: PathBuf| match path.strip_prefix(&real) {
        Ok(below) => origin.cwd.join(below),
        Err(_) => path,
    };
    let package = env::var_os(PACKAGE).map(|package| by_symlink(package.into()));
    let program = called_as().or_else(|| env::current_exe().ok()).map(by_symlink);
    origin.env.extend(package.map(|package| (PACKAGE.into(), package.into())));
    let program = program.unwrap_or_default().into_os_string();
    origin.args = iter::once(program).chain(env::args_os().skip(1)).collect();
    origin
}

/// The path by which `bin/cluster2` was called, if it has become this process: other programs may
/// have inherited the variable.
fn called_as() -> Option<PathBuf> {
    let called = PathBuf::from(env::var_os(CALLED_AS)?);
    let package = PathBuf::from(env::var_os(PACKAGE)?);
    (called.canonicalize().ok()? == package.join("bin/cluster2")).then_some(called)
}

/// Becomes the same command again. Returns only if that fails.
pub(crate) fn start_again(ProcessOrigin { args, env, .. }: ProcessOrigin) -> Failed {
    let Some((program, args)) = args.split_first() else {
        return Failed::start("cannot start again");
    };
    let mut command = Process::new(program);
    command.args(args).env_clear().envs(env);
    // Otherwise it is there, even if the directory has no name any more.
    if let Some(directory) = working_directory_by_symlink() {
        command.current_dir(directory);
    }
    handover::stay_held(&mut command);
    let error = command.exec();
    Failed::start(format!("cannot start {} again: {error}", program.display()))
}

/// Runs the command.
pub(crate) fn restart(matches: &ArgMatches) -> Result<(), Failed> {
    let pids = settings::directory("pids", matches)?;
    let status = commands::ask(&pids, &Command::Status)?;
    let pid = status["master"]["pid"].as_u64().unwrap_or_default();
    if status["running"] == true {
        check(pid, &status)?;
        line::note(&format!("master {pid} finishes what it has, and starts again"));
    }
    commands::ask(&pids, &Command::Restart)?;
    let workers = await_ready(&pids, pid, status["master"]["startedAt"].as_str())?;
    print(format!("restarted: {workers} of master {pid} ready\n").as_bytes())
}

/// Checks the command line of the running master, if it is this program.
fn check(pid: u64, status: &Value) -> Result<(), Failed> {
    let read = |name: &str| fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let list = |bytes: Vec<u8>| -> Vec<OsString> {
        let parts = bytes.split(|byte| *byte == 0).map(|part| OsString::from_vec(part.to_vec()));
        parts.collect()
    };
    let mut arguments = list(read("cmdline"));
    arguments.pop();
    let Some(at) = arguments.iter().position(|argument| argument == "start") else {
        return Ok(());
    };
    let variables = list(read("environ")).into_iter().filter_map(|variable| {
        let text = variable.into_string().ok()?;
        text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()))
    });
    let variables: Vec<_> = variables.collect();
    let named = variables.iter().find(|(name, _)| name == "PWD").map(|(_, path)| path.clone());
    // After a deploy by a symlink, that of its start may be gone.
    let link = format!("/proc/{pid}/cwd");
    let is_gone = fs::read_link(&link).is_ok_and(|path| !path.exists());
    let of_workers = status["master"]["directory"].as_str().filter(|_| is_gone);
    let directory = named.or(of_workers.map(str::to_owned));
    let directory = directory.filter(|path| Path::new(path).is_dir()).unwrap_or(link);
    let checked = Process::new(env::current_exe()?)
        .args(arguments.get(1..at).unwrap_or_default())
        .arg("check")
        .args(&arguments[at + 1..])
        .env_clear()
        .envs(variables)
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()?;
    if checked.status.success() {
        return Ok(());
    }
    let problems = String::from_utf8_lossy(&checked.stderr).into_owned();
    Err(Failed::new(format!(
        "the cluster runs on as it is, because it would not start again:\n{}",
        problems.trim_end()
    )))
}

/// Waits until all workers of the cluster that follows in the process `pid` are ready. Returns
/// their number, in words.
fn await_ready(pids: &Path, pid: u64, before: Option<&str>) -> Result<String, Failed> {
    loop {
        if let Err(error) = fs::metadata(format!("/proc/{pid}"))
            && error.kind() == io::ErrorKind::NotFound
        {
            let text = format!("master {pid} has ended and did not start again; see its output");
            return Err(Failed::new(text));
        }
        if let Some(status) = remote::glance(pids)
            && status["master"]["startedAt"].as_str() != before
        {
            let workers = status["workers"].as_array().map_or(&[][..], Vec::as_slice);
            let ready = workers.iter().filter(|worker| worker["state"] == "ready").count();
            if status["master"]["target"].as_u64() == Some(ready as u64) {
                return Ok(counted(ready as u64, "worker"));
            }
        }
        std::thread::sleep(POLL_EVERY);
    }
}
