//! What `cluster2 --help` shows: the commands in groups, and the exit codes.

use clap::Command;

/// The exit codes, as manual pages show them.
pub(crate) const EXIT_CODES: &str = "Exit codes:
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
/// The end, in lines of at most 80 columns.
const END: &str = "
Options: --config FILE, --app NAME, -h or --help, -V or --version
Flags count before variables, these before cluster2.json, that before defaults.
Exit codes: 0 done, 1 failed, 2 bad option, 3 not running, 70 bug, 255 no start";
/// How wide the titles of groups are, and the names of commands.
const WIDTHS: [usize; 2] = [7, 11];

/// The heading of commands that are in no group.
const MORE: &str = "More";

/// The help of the whole program, for a `command` with all its subcommands.
pub(crate) fn overview(command: &Command) -> String {
    let about = |name: &str| match name {
        "help" => Some("Prints the help of a command".to_owned()),
        _ => Some(command.find_subcommand(name)?.get_about()?.to_string()),
    };
    let grouped = |name: &str| GROUPS.iter().any(|(_, names)| names.contains(&name));
    let others: Vec<&str> =
        command.get_subcommands().map(Command::get_name).filter(|name| !grouped(name)).collect();
    let groups = GROUPS.iter().map(|(title, names)| (*title, *names));
    let groups = groups.chain((!others.is_empty()).then_some((MORE, others.as_slice())));
    let [left, middle] = WIDTHS;
    let mut text = String::new();
    for (title, names) in groups {
        let titles = std::iter::once(title).chain(std::iter::repeat(""));
        for (title, name) in titles.zip(names) {
            if let Some(about) = about(name) {
                text.push_str(&format!("{title:left$}{name:middle$} {about}\n"));
            }
        }
    }
    text + END
}
