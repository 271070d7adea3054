//! The commands that read the options of a cluster, or make them.

use clap::{Arg, Command, ValueHint};

use super::parts::{node_arg, switch_long, timeout};
use crate::options::{LOGS, OPTIONS, PIDS};

pub(super) const MORE: &str = "Options are taken from flags, then from environment variables, \
    then from the configuration file, then from the defaults. \
    The file is a JSON object with the options of `new Cluster(options)`, by their names.";
const SHORT: &str =
    "All options: cluster2 start --help. Most have a variable, as CLUSTER2_WORKERS.";

pub(super) fn start() -> Command {
    with_options(Command::new("start"))
        .about("Starts a script as a cluster, and stays until it ends")
        .long_about(
            "Starts a script as a cluster, and stays until it ends. The script need not know of \
            it: whatever server it makes is \
             shared by all workers, drains, answers the health check and is watched for hangs.\n\n\
             SIGTERM, SIGINT, SIGQUIT, SIGALRM and the end of the terminal end it gracefully, a \
             second Ctrl-C at once; SIGHUP \
             replaces all workers; SIGUSR2 opens their log files again with --output files, and \
             else ends it gracefully.",
        )
        .after_help(SHORT)
        .after_long_help(MORE)
}

/// The script, its arguments and all options, as `start` takes them.
fn with_options(command: Command) -> Command {
    command
        .arg(
            Arg::new("exec")
                .value_name("SCRIPT")
                .value_hint(ValueHint::FilePath)
                .help("The script, as node takes it [default: exec of the file]"),
        )
        .arg(
            Arg::new("args")
                .value_name("ARGS")
                .num_args(0..)
                .last(true)
                .help("Arguments of the script"),
        )
        .arg(node_arg().help_heading("Workers").hide_short_help(true))
        .arg(
            Arg::new("format")
                .long("log-format")
                .help_heading("Monitor and output")
                .hide_short_help(true)
                .value_name("FORMAT")
                .env("CLUSTER2_LOG_FORMAT")
                .hide_env_values(true)
                .value_parser(["text", "json"])
                .help(
                    "The master's own lines on standard error: text, with times where that is \
                    neither a terminal nor journald, or json, one object on each line [default: \
                    text]",
                ),
        )
        .arg(
            Arg::new("on-event")
                .long("on-event")
                .help_heading("Monitor and output")
                .hide_short_help(true)
                .value_name("COMMAND")
                .env("CLUSTER2_ON_EVENT")
                .hide_env_values(true)
                .help(
                    "A command for sh that is run for each event, one at a time: JSON on standard \
                    input, its type in CLUSTER2_EVENT",
                ),
        )
        .args([PIDS.arg(), LOGS.arg()])
        .args(OPTIONS.iter().map(|flag| flag.arg()))
}

pub(super) fn check() -> Command {
    with_options(
        Command::new("check").about("Says what `start` would find wrong, without starting"),
    )
    .long_about(
        "Says what `start` would find wrong, without starting: the options, the script and its \
            syntax, the rights of directories, and the ports, unless a cluster that runs here has \
            them.",
    )
}

pub(super) fn unit() -> Command {
    let name = Arg::new("unit").long("unit").value_name("NAME");
    with_options(Command::new("unit").about("Prints a systemd unit that starts this cluster"))
        .arg(name.help("Its name [default: the name of the working directory]"))
        .arg(switch_long("socket", "Print the socket unit for --port instead, which systemd opens"))
}

pub(super) fn import() -> Command {
    Command::new("import")
        .about("Prints a file of PM2 as cluster2.json")
        .long_about(
            "Prints a file of PM2 as cluster2.json, and says on standard error what it cannot \
            translate.",
        )
        .arg(
            Arg::new("file")
                .value_name("FILE")
                .value_hint(ValueHint::FilePath)
                .help("PM2's file [default: ecosystem.config.js]"),
        )
        .arg(timeout("How long the file may take [default: 30]"))
        .arg(node_arg())
}
