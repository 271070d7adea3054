//! `cluster2 man`: manual pages, with the exit codes and the environment variables.

use clap::{ArgMatches, Command};
use clap_mangen::Man;

use super::help::EXIT_CODES;
use super::{Failed, args, print};

/// Variables that are not options.
const VARIABLES: &[(&str, &str)] = &[
    ("CLUSTER2_CONFIG", "The configuration file, as --config."),
    ("CLUSTER2_NODE", "Node itself, as --node."),
    ("CLUSTER2_LOG", "Turns on a log of cluster2 itself: error, warn, info, debug, trace."),
    ("CLUSTER2_REQUIRE_NATIVE", "1: never run a script without workers where there is no addon."),
    ("CLUSTER2_PACKAGE", "The directory of the npm package; bin/cluster2 sets it."),
    ("NOTIFY_SOCKET, WATCHDOG_USEC, LISTEN_FDS", "As systemd sets them."),
    ("NO_COLOR, CLICOLOR_FORCE", "No colours; colours also where output is not a terminal."),
];
/// Variables that workers get.
const OF_WORKERS: &[(&str, &str)] = &[
    ("CLUSTER2_SLOT", "The number of the worker's slot, from 0."),
    ("CLUSTER2_SPARE", "1 in a spare, until it is activated."),
    ("NODE_APP_INSTANCE", "The same, unless it is set already."),
    ("PORT", "The port, if --port names a single one."),
];

/// Prints the page of the program, or of one command.
pub(crate) fn man(matches: &ArgMatches) -> Result<(), Failed> {
    let mut command = args::command();
    command.build();
    if let Some(name) = matches.get_one::<String>("command") {
        let found = command.find_subcommand(name).cloned();
        command = found.ok_or_else(|| Failed::usage(format!("there is no command {name:?}")))?;
    }
    print(&page(command)?)
}

fn page(command: Command) -> Result<Vec<u8>, Failed> {
    let mut environment = String::from(".SH ENVIRONMENT\n");
    let options = command.get_arguments().filter_map(|arg| {
        let (variable, flag) = (arg.get_env()?.to_str()?, arg.get_long()?);
        Some((variable.to_owned(), format!("As --{flag}.")))
    });
    let is_new = |name: &str, known: &[(String, String)]| known.iter().all(|(of, _)| of != name);
    let mut listed: Vec<(String, String)> = options.collect();
    let all = VARIABLES.iter().chain(OF_WORKERS);
    for (name, what) in all.filter(|_| command.get_name() != "ecv") {
        if is_new(name, &listed) {
            let whose = if OF_WORKERS.contains(&(name, what)) { "In workers: " } else { "" };
            listed.push(((*name).to_owned(), format!("{whose}{what}")));
        }
    }
    for (name, what) in listed {
        environment.push_str(&format!(".TP\n\\fB{}\\fR\n{}\n", escaped(&name), escaped(&what)));
    }
    let exit = EXIT_CODES.lines().skip(1).filter_map(|line| line.trim().split_once(' '));
    let exit: String = exit
        .map(|(code, what)| format!(".TP\n\\fB{code}\\fR\n{}\n", escaped(what.trim())))
        .collect();
    let mut page = Vec::new();
    let (has_commands, has_version) = (command.has_subcommands(), command.get_version().is_some());
    let page_of = Man::new(command);
    page_of.render_title(&mut page)?;
    page_of.render_name_section(&mut page)?;
    page_of.render_synopsis_section(&mut page)?;
    page_of.render_description_section(&mut page)?;
    page_of.render_options_section(&mut page)?;
    if has_commands {
        page_of.render_subcommands_section(&mut page)?;
    }
    page.extend(environment.bytes());
    page.extend(format!(".SH \"EXIT STATUS\"\n{exit}").bytes());
    if has_version {
        page_of.render_version_section(&mut page)?;
    }
    Ok(page)
}

/// As text of roff.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-")
}
