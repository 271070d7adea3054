//! What `cluster2 --help` shows: the commands under headings, and the exit codes.

use clap::Command;

/// The exit codes, as help and manual page show them.
pub const EXIT_CODES: &str = "Exit codes:
  0    done
  1    it failed; the reason is on standard error
  2    the command line, a variable or the configuration file is wrong
  3    no cluster is running here
  70   a thread of the master failed, which is a fault of cluster2
  255  the cluster could not start";

/// The commands in groups.
const GROUPS: &[(&str, &[&str])] = &[
    ("Run", &["start", "check", "unit", "import"]),
    (
        "Change",
        &["reload", "restart", "upgrade", "scale", "shutdown", "stop", "ecv", "reopen-logs"],
    ),
    ("Look", &["status", "events", "logs", "stack", "env", "profile", "heap"]),
    ("Other", &["completions", "man", "help"]),
];
/// How wide the names of commands are.
const WIDTH: usize = 12;

/// The heading of commands that are in no group.
const MORE: &str = "More";

/// The help of the whole program, for a `command` with all its subcommands.
pub fn overview(command: &Command) -> String {
    let about = |name: &str| match name {
        "help" => Some("Prints the help of a command".to_owned()),
        _ => Some(command.find_subcommand(name)?.get_about()?.to_string()),
    };
    let grouped = |name: &str| GROUPS.iter().any(|(_, names)| names.contains(&name));
    let others: Vec<&str> =
        command.get_subcommands().map(Command::get_name).filter(|name| !grouped(name)).collect();
    let groups = GROUPS.iter().map(|(title, names)| (*title, *names));
    let groups = groups.chain((!others.is_empty()).then_some((MORE, others.as_slice())));
    let mut text = String::from("Commands:\n");
    for (title, names) in groups {
        text.push_str(&format!(" {title}\n"));
        for name in names {
            if let Some(about) = about(name) {
                text.push_str(&format!("  {name:WIDTH$} {about}\n"));
            }
        }
    }
    text + "\nOptions: --config FILE, --app NAME, -h or --help, -V or --version\n\n" + EXIT_CODES
}
