//! Commands to a running cluster: the request, its progress, and its result in words.

use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use clap::ArgMatches;
use cluster2_rs::counts::counted;
use cluster2_rs::embedder::all_are_new;
use cluster2_rs::protocol::control::{Command, UpgradeRequest};
use cluster2_rs::remote;
use serde_json::Value;

use super::args::Scale;
use super::progress::{Progress, ReloadProgress, ShutdownProgress, UpgradeProgress, number};
use super::{Failed, line, not_running, planned_start, print, settings};

/// How often progress is polled.
const POLL_EVERY: Duration = Duration::from_millis(200);

/// Runs the command `name`.
pub(crate) fn run(name: &str, matches: &ArgMatches) -> Result<(), Failed> {
    let (name, matches) = matches.subcommand().unwrap_or((name, matches));
    let pids = settings::directory("pids", matches)?;
    let answer = match name {
        "reload" => {
            let addresses_may_change = matches.get_flag("moving");
            ask_with_progress(
                &pids,
                Command::Reload { addresses_may_change },
                &mut ReloadProgress::default(),
            )?
        }
        "upgrade" => {
            let mut progress = UpgradeProgress::default();
            let request = Command::Upgrade(upgrade_request(matches));
            let answer = ask_with_progress(&pids, request, &mut progress)?;
            // An upgrade may be done before its progress was seen.
            progress.warning(&answer).iter().for_each(|text| line::note(text));
            answer
        }
        "shutdown" if matches.get_flag("wait") => ask_with_progress(
            &pids,
            Command::Shutdown { wait: true },
            &mut ShutdownProgress::default(),
        )?,
        _ => ask(&pids, &command(name, matches))?,
    };
    print(format!("{}\n", result_line(name, matches, &answer, &pids)).as_bytes())
}

fn command(name: &str, matches: &ArgMatches) -> Command {
    match name {
        "scale" => match matches.get_one("workers").copied().unwrap_or(Scale::By(0)) {
            Scale::To(workers) => Command::Scale { workers },
            Scale::By(by) => Command::ScaleBy { by },
        },
        "enable" => Command::Ecv { disabled: false },
        "disable" => Command::Ecv { disabled: true },
        "reopen-logs" => Command::ReopenLogs,
        "stop" => Command::Stop,
        _ => Command::Shutdown { wait: false },
    }
}

fn upgrade_request(matches: &ArgMatches) -> UpgradeRequest {
    let timeout = matches.get_one::<u64>("timeout").map(|seconds| seconds * 1_000);
    let args = matches.get_many::<String>("command").map(|args| args.cloned().collect());
    UpgradeRequest { args, timeout, ..UpgradeRequest::default() }
}

fn result_line(name: &str, matches: &ArgMatches, answer: &Value, pids: &Path) -> String {
    if answer["running"] == false {
        return nothing_to_end(answer["reason"].as_str(), pids);
    }
    match name {
        "reload" => all_are_new(number(&answer["replaced"])),
        "upgrade" => {
            let closed: Vec<_> = answer["closed"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            let closed = match closed.is_empty() {
                true => String::new(),
                false => format!("; its workers do not serve {}", closed.join(", ")),
            };
            format!("master {} has taken over, and the old one is done{closed}", answer["pid"])
        }
        "scale" => scaled(answer),
        "disable" => "out of rotation: the health check answers DISABLED".to_owned(),
        "enable" => "in rotation: the health check answers what it finds".to_owned(),
        "reopen-logs" => {
            format!("log files opened again by {}", counted(number(&answer["workers"]), "worker"))
        }
        "shutdown" if matches.get_flag("wait") => {
            format!("the cluster of master {} has ended", answer["pid"])
        }
        "shutdown" => format!(
            "master {} accepts no new connection; its workers finish what they have",
            answer["pid"]
        ),
        _ => format!("master {} and its workers are gone", answer["pid"]),
    }
}

/// Ends an app that does not run: its parent does not start it again.
fn nothing_to_end(reason: Option<&str>, pids: &Path) -> String {
    match reason {
        _ if planned_start::call_off(pids) => "it had failed, and is not started again".to_owned(),
        Some(reason) => format!("nothing to end: {reason}"),
        None => not_running(pids).message(),
    }
}

/// Describes the answer to `scale`. Where the number follows the work, it is about the least.
fn scaled(answer: &Value) -> String {
    let workers = counted(number(&answer["workers"]), "worker");
    let before = &answer["before"];
    match (&answer["now"], &answer["max"]) {
        (Value::Number(now), Value::Number(max)) => {
            format!("from at least {before} to at least {workers}; {now} now, {max} at most")
        }
        _ => format!("from {before} to {workers}"),
    }
}

/// Asks the master that holds the directory `pids`.
pub(crate) fn ask(pids: &Path, command: &Command) -> Result<Value, Failed> {
    Ok(remote::ask(pids, command)?)
}

/// Asks for something that takes its time, and shows its progress until the answer comes.
fn ask_with_progress(
    pids: &Path,
    command: Command,
    progress: &mut dyn Progress,
) -> Result<Value, Failed> {
    let mut show_progress = || {
        if let Some(status) = remote::glance(pids) {
            progress.changes(&status).iter().for_each(|text| line::note(text));
        }
    };
    show_progress();
    let answer = ask_meanwhile(pids, command, POLL_EVERY, &mut show_progress);
    show_progress();
    answer
}

/// Asks for something that takes its time, and calls `show` again and again until the answer comes.
pub(crate) fn ask_meanwhile(
    pids: &Path,
    command: Command,
    every: Duration,
    mut show: impl FnMut(),
) -> Result<Value, Failed> {
    let (sender, answered) = channel();
    let directory = pids.to_owned();
    // This function may have returned when the answer comes.
    std::thread::spawn(move || drop(sender.send(remote::ask(&directory, &command))));
    loop {
        match answered.recv_timeout(every) {
            Ok(answer) => return Ok(answer?),
            Err(RecvTimeoutError::Timeout) => show(),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Failed::new("the request was given up"));
            }
        }
    }
}
