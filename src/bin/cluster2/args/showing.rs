//! The commands that show what a cluster is, does and writes.

use clap::{Arg, Command, ValueHint, value_parser};

use super::parts::{named_app, on_running, pid, plain, switch, switch_long};
use crate::options::{LOGS, PIDS};

pub(super) fn status() -> Command {
    on_running("status", "Shows the cluster").arg(named_app()).args([
        switch("json", 'j', "As JSON, for programs"),
        switch("watch", 'w', "Again and again, each second"),
    ])
}

pub(super) fn events() -> Command {
    on_running("events", "Shows what happened last, oldest first").args([
        switch("json", 'j', "As JSON, one event on each line"),
        switch("follow", 'f', "Go on with what happens"),
    ])
}

pub(super) fn stack() -> Command {
    on_running("stack", "Shows what workers execute, also those that are stuck").args([
        pid().help("Of which worker; by default of all"),
        switch("json", 'j', "As JSON, for programs"),
    ])
}

pub(super) fn environment() -> Command {
    on_running("env", "Shows a worker's environment: names, and values on demand").args([
        pid().required(true),
        Arg::new("names").value_name("NAME").num_args(0..).help("Variables to show with values"),
        switch_long("values", "Show all values, which may be secret"),
    ])
}

/// A command that looks inside a worker.
fn inspecting(name: &'static str, about: &'static str) -> Command {
    let file = Arg::new("file").long("file").value_name("FILE").value_hint(ValueHint::FilePath);
    on_running(name, about).args([
        pid().required(true),
        file.help("A new file, which the worker writes [default: worker-PID-<time> here]"),
    ])
}

pub(super) fn profile() -> Command {
    let seconds = Arg::new("seconds").long("seconds").value_name("N").default_value("10");
    inspecting("profile", "Writes where a worker's processor time goes, as .cpuprofile")
        .arg(seconds.value_parser(value_parser!(u32).range(1..=3600)).help("For how long"))
}

pub(super) fn heap() -> Command {
    inspecting("heap", "Writes a worker's objects, as .heapsnapshot; it stands still").long_about(
        "Writes all objects of a worker, as .heapsnapshot. The worker stands still meanwhile, and \
        needs about as much memory again; the other workers go on.",
    )
}

pub(super) fn logs() -> Command {
    let lines = Arg::new("tail").long("tail").short('n').value_name("N").default_value("20");
    Command::new("logs")
        .about("Shows the files in the logs directory")
        .arg(
            Arg::new("files")
                .value_name("FILE")
                .num_args(0..)
                .help("Which; by default all that are neither rotated nor compressed"),
        )
        .args([plain(LOGS.arg()), plain(PIDS.arg())])
        .arg(lines.value_parser(value_parser!(u64)).help("How many lines of each"))
        .arg(switch("follow", 'f', "Go on with what is added: whole lines of all files"))
        .arg(switch("list", 'l', "Only name them"))
}
