//! The definition of the command line. Help, manual page and completions are made from it.

mod changing;
mod parts;
mod showing;
mod starting;

use clap::{Arg, Command, ValueHint, value_parser};
use clap_complete::Shell;

use self::starting::MORE;
use crate::help;

pub(crate) use self::changing::Scale;

const ABOUT: &str = "Runs a Node.js server as supervised workers that share its ports";

fn config() -> Arg {
    Arg::new("config")
        .long("config")
        .value_name("FILE")
        .env("CLUSTER2_CONFIG")
        .hide_env_values(true)
        .value_hint(ValueHint::FilePath)
        .help("Configuration file, JSON [default: cluster2.json, where there is one]")
        .global(true)
}

fn app() -> Arg {
    Arg::new("app")
        .long("app")
        .value_name("NAME")
        .env("CLUSTER2_APP")
        .hide_env_values(true)
        .help("Which app of a configuration file with several [default: all, or the only one]")
        .global(true)
}

/// Returns the whole definition.
pub(crate) fn command() -> Command {
    let command = commands();
    let overview = help::overview(&command);
    command
        .term_width(80)
        .help_template(format!("{ABOUT}\n\n{{usage-heading}} {{usage}}{{after-help}}"))
        .after_help(overview)
}

fn commands() -> Command {
    Command::new("cluster2")
        // The program's file is named after its platform.
        .bin_name("cluster2")
        .version(env!("CARGO_PKG_VERSION"))
        .about(ABOUT)
        .long_about(format!("{ABOUT}.\n\n{MORE}"))
        .arg_required_else_help(true)
        .subcommand_required(true)
        .arg(config())
        .arg(app())
        .subcommands([
            starting::start(),
            showing::status(),
            showing::events(),
            showing::stack(),
            changing::reload(),
            changing::restart(),
            starting::check(),
            starting::unit(),
            showing::environment(),
            changing::upgrade(),
            showing::profile(),
            showing::heap(),
            starting::import(),
            changing::scale(),
            changing::shutdown(),
            changing::stop(),
            showing::logs(),
            changing::reopen_logs(),
            changing::ecv(),
            completions(),
            man(),
        ])
}

fn completions() -> Command {
    Command::new("completions").about("Prints the completions for a shell").arg(
        Arg::new("shell")
            .value_name("SHELL")
            .required(true)
            .value_parser(value_parser!(Shell))
            .help("Which"),
    )
}

fn man() -> Command {
    Command::new("man").about("Prints the manual page, in the format of man(1)").arg(
        Arg::new("command").value_name("COMMAND").help("Of which command; by default of the whole"),
    )
}
