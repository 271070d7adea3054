//! The commands that change a running cluster.

use clap::{Arg, ArgAction, Command};

use super::parts::{named_app, on_running, switch, timeout};

/// The argument of `scale`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// To this number of workers.
    To(u32),
    /// By this number of workers, up or down.
    By(i32),
}

impl Scale {
    fn parse(text: &str) -> Result<Self, String> {
        let parsed = if text.starts_with(['+', '-']) {
            text.parse().map(Self::By)
        } else {
            text.parse().map(Self::To)
        };
        match parsed {
            Ok(Self::To(0)) => {
                Err("expected at least 1 worker; 'cluster2 shutdown' ends all".to_owned())
            }
            other => other.map_err(|_| "expected a whole number, as 4, +1 or -1".to_owned()),
        }
    }
}

pub(super) fn reload() -> Command {
    on_running("reload", "Replaces all workers, one after another; loses no request")
        .arg(named_app())
        .long_about(
            "Replaces all workers, one after another, without losing a request. It fails, and the \
            old workers that are left stay, if a \
             new one does not get ready, ends before all is over, or does not listen where the \
             old one does.",
        )
        .arg(Arg::new("moving").long("allow-address-change").action(ArgAction::SetTrue).help(
            "The new code may listen elsewhere: an address that is served now may be \
                served by nobody then",
        ))
}

pub(super) fn restart() -> Command {
    on_running("restart", "Ends the cluster gracefully, and starts it again")
        .arg(named_app())
        .long_about(
            "Ends the cluster gracefully and starts it again, in the same process: for what a \
            reload cannot change, such as options, Node and cluster2 itself. Clients are refused \
            in between. First it is checked, as by `check`, that the cluster would start again.",
        )
}

pub(super) fn upgrade() -> Command {
    on_running("upgrade", "Has another master take over; loses no request")
        .long_about(
            "Has another master take over, without losing a request or a connection: for another \
            version of Node, of cluster2-rs or of the master's own script, and for other options. \
            The new one is started as the old one was, with the configuration file and files of \
            variables read again, or by COMMAND, in the old one's directory. It takes over once \
            all its workers are ready; if they are not in time, the old one goes on, and the \
            command fails. It ends when the old workers have finished what they have.",
        )
        .arg(timeout("How long until all new workers have to be ready [default: 60]"))
        .arg(
            Arg::new("command")
                .value_name("COMMAND")
                .num_args(0..)
                .last(true)
                .help("Another program, and its arguments"),
        )
}

pub(super) fn scale() -> Command {
    on_running("scale", "Changes the number of workers").arg(
        Arg::new("workers")
            .value_name("N")
            .required(true)
            .allow_hyphen_values(true)
            .value_parser(Scale::parse)
            .help("To so many; +N or -N: by so many"),
    )
}

pub(super) fn shutdown() -> Command {
    on_running("shutdown", "Ends the cluster gracefully: begun requests are answered")
        .arg(named_app())
        .arg(switch("wait", 'w', "Until all workers are gone"))
}

pub(super) fn stop() -> Command {
    on_running("stop", "Ends the cluster at once; requests under way are lost").arg(named_app())
}

pub(super) fn reopen_logs() -> Command {
    on_running("reopen-logs", "Has workers open their log files again").long_about(
        "Has workers open their log files again, after these were moved away. It ends \
                when all have done it.",
    )
}

pub(super) fn ecv() -> Command {
    Command::new("ecv")
        .about("Takes the cluster out of rotation, or back into it")
        .long_about("Takes the cluster out of the load balancer's rotation, or back into it.")
        .arg_required_else_help(true)
        .subcommand_required(true)
        .subcommand(on_running("disable", "The health check answers DISABLED"))
        .subcommand(on_running("enable", "The health check answers what it finds"))
}
