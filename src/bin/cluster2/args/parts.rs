//! Arguments that several commands have.

use clap::{Arg, ArgAction, Command, ValueHint, value_parser};

use crate::options::PIDS;

/// Names the app where a command needs no other word.
pub(super) fn named_app() -> Arg {
    Arg::new("named-app").value_name("APP").help("As --app")
}

/// An option of a command that has few, so that all are shown under one heading.
pub(super) fn plain(arg: Arg) -> Arg {
    arg.help_heading(None::<&str>).hide_short_help(false)
}

/// A command that finds its cluster by the `pids` directory.
pub(super) fn on_running(name: &'static str, about: &'static str) -> Command {
    Command::new(name).about(about).arg(plain(PIDS.arg()))
}

pub(super) fn switch(name: &'static str, short: char, help: &'static str) -> Arg {
    switch_long(name, help).short(short)
}

pub(super) fn switch_long(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

pub(super) fn node_arg() -> Arg {
    Arg::new("node")
        .long("node")
        .value_name("PATH")
        .env("CLUSTER2_NODE")
        .hide_env_values(true)
        .value_hint(ValueHint::ExecutablePath)
        .help("Node itself [default: node, found in PATH]")
}

/// The argument that names a worker.
pub(super) fn pid() -> Arg {
    Arg::new("pid")
        .value_name("PID")
        .value_parser(value_parser!(u32).range(1..))
        .help("Of which worker")
}

/// A time-out in seconds, up to a day.
pub(super) fn timeout(help: &'static str) -> Arg {
    Arg::new("timeout")
        .long("timeout")
        .value_name("SECONDS")
        .value_parser(value_parser!(u64).range(1..=86_400))
        .help(help)
}
