//! The definition of the command line. Help, manual page and completions are made from it.

use clap::{Arg, ArgAction, Command, ValueHint, value_parser};
use clap_complete::Shell;

use super::help;
use super::options::{LOGS, OPTIONS, PIDS};

const ABOUT: &str = "Runs a Node.js server as supervised workers that share its ports";
const MORE: &str = "Options are taken from flags, then from environment variables, then from the \
 configuration file, then from the defaults. \
The file is a JSON object with the options of `new Cluster(options)`, by their names.";
const SHORT: &str =
    "All options: cluster2 start --help. Most have a variable, as CLUSTER2_WORKERS.";

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

/// An option of a command that has few, so that all are shown under one heading.
fn plain(arg: Arg) -> Arg {
    arg.help_heading(None::<&str>).hide_short_help(false)
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

/// Names the app where a command needs no other word.
fn named_app() -> Arg {
    Arg::new("named-app").value_name("APP").help("As --app")
}

/// A command that finds its cluster by the `pids` directory.
fn on_running(name: &'static str, about: &'static str) -> Command {
    Command::new(name).about(about).arg(plain(PIDS.arg()))
}

fn switch(name: &'static str, long: &'static str, short: char, help: &'static str) -> Arg {
    Arg::new(name).long(long).short(short).action(ArgAction::SetTrue).help(help)
}

fn switch_long(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

fn start() -> Command {
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

fn node_arg() -> Arg {
    Arg::new("node")
        .long("node")
        .value_name("PATH")
        .env("CLUSTER2_NODE")
        .hide_env_values(true)
        .value_hint(ValueHint::ExecutablePath)
        .help("Node itself [default: node, found in PATH]")
}

fn check() -> Command {
    with_options(
        Command::new("check").about("Says what `start` would find wrong, without starting"),
    )
    .long_about(
        "Says what `start` would find wrong, without starting: the options, the script and its \
            syntax, the rights of directories, and the ports, unless a cluster that runs here has \
            them.",
    )
}

fn unit() -> Command {
    let name = Arg::new("unit").long("unit").value_name("NAME");
    with_options(Command::new("unit").about("Prints a systemd unit that starts this cluster"))
        .arg(name.help("Its name [default: the name of the working directory]"))
        .arg(switch_long("socket", "Print the socket unit for --port instead, which systemd opens"))
}

/// A command that looks inside a worker.
fn inspecting(name: &'static str, about: &'static str) -> Command {
    let file = Arg::new("file").long("file").value_name("FILE").value_hint(ValueHint::FilePath);
    on_running(name, about).args([
        Arg::new("pid")
            .value_name("PID")
            .required(true)
            .value_parser(value_parser!(u32).range(1..))
            .help("Of which worker"),
        file.help("A new file, which the worker writes [default: worker-PID-<time> here]"),
    ])
}

fn profile() -> Command {
    let seconds = Arg::new("seconds").long("seconds").value_name("N").default_value("10");
    inspecting("profile", "Writes where a worker's processor time goes, as .cpuprofile")
        .arg(seconds.value_parser(value_parser!(u32).range(1..=3600)).help("For how long"))
}

fn environment() -> Command {
    on_running("env", "Shows a worker's environment: names, and values on demand").args([
        Arg::new("pid")
            .value_name("PID")
            .required(true)
            .value_parser(value_parser!(u32).range(1..))
            .help("Of which worker"),
        Arg::new("names").value_name("NAME").num_args(0..).help("Variables to show with values"),
        switch_long("values", "Show all values, which may be secret"),
    ])
}

fn restart() -> Command {
    on_running("restart", "Ends the cluster gracefully, and starts it again")
        .arg(named_app())
        .long_about(
            "Ends the cluster gracefully and starts it again, in the same process: for what a \
            reload cannot change, such as options, Node and cluster2 itself. Clients are refused \
            in between. First it is checked, as by `check`, that the cluster would start again.",
        )
}

fn reload() -> Command {
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

fn upgrade() -> Command {
    on_running("upgrade", "Has another master take over; loses no request")
        .long_about(
            "Has another master take over, without losing a request or a connection: for another \
            version of Node, of cluster2-rs or of the master's own script, and for other options. \
            The new one is started as the old one was, with the configuration file and files of \
            variables read again, or by COMMAND, in the old one's directory. It takes over once \
            all its workers are ready; if they are not in time, the old one goes on, and the \
            command fails. It ends when the old workers have finished what they have.",
        )
        .arg(
            Arg::new("timeout")
                .long("timeout")
                .value_name("SECONDS")
                .value_parser(value_parser!(u64).range(1..=86_400))
                .help("How long until all new workers have to be ready [default: 60]"),
        )
        .arg(
            Arg::new("command")
                .value_name("COMMAND")
                .num_args(0..)
                .last(true)
                .help("Another program, and its arguments"),
        )
}

fn logs() -> Command {
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
        .arg(switch("follow", "follow", 'f', "Go on with what is added: whole lines of all files"))
        .arg(switch("list", "list", 'l', "Only name them"))
}

fn ecv() -> Command {
    Command::new("ecv")
        .about("Takes the cluster out of rotation, or back into it")
        .long_about("Takes the cluster out of the load balancer's rotation, or back into it.")
        .arg_required_else_help(true)
        .subcommand_required(true)
        .subcommand(on_running("disable", "The health check answers DISABLED"))
        .subcommand(on_running("enable", "The health check answers what it finds"))
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
        .subcommand(start())
        .subcommand(on_running("status", "Shows the cluster").arg(named_app()).args([
            switch("json", "json", 'j', "As JSON, for programs"),
            switch("watch", "watch", 'w', "Again and again, each second"),
        ]))
        .subcommand(on_running("events", "Shows what happened last, oldest first").args([
            switch("json", "json", 'j', "As JSON, one event on each line"),
            switch("follow", "follow", 'f', "Go on with what happens"),
        ]))
        .subcommand(
            on_running("stack", "Shows what workers execute, also those that are stuck").args([
                Arg::new("pid")
                    .value_name("PID")
                    .value_parser(value_parser!(u32).range(1..))
                    .help("Of which worker; by default of all"),
                switch("json", "json", 'j', "As JSON, for programs"),
            ]),
        )
        .subcommand(reload())
        .subcommand(restart())
        .subcommand(check())
        .subcommand(unit())
        .subcommand(environment())
        .subcommand(upgrade())
        .subcommand(profile())
        .subcommand(
            inspecting("heap", "Writes a worker's objects, as .heapsnapshot; it stands still")
                .long_about(
                    "Writes all objects of a worker, as .heapsnapshot. The worker stands still \
                    meanwhile, and needs about as much memory again; the other workers go on.",
                ),
        )
        .subcommand(
            Command::new("import")
                .about("Prints a file of PM2 as cluster2.json")
                .long_about(
                    "Prints a file of PM2 as cluster2.json, and says on standard error what it \
                    cannot translate.",
                )
                .arg(
                    Arg::new("file")
                        .value_name("FILE")
                        .value_hint(ValueHint::FilePath)
                        .help("PM2's file [default: ecosystem.config.js]"),
                )
                .arg(
                    Arg::new("timeout")
                        .long("timeout")
                        .value_name("SECONDS")
                        .value_parser(value_parser!(u64).range(1..=86_400))
                        .help("How long the file may take [default: 30]"),
                )
                .arg(node_arg()),
        )
        .subcommand(
            on_running("scale", "Changes the number of workers").arg(
                Arg::new("workers")
                    .value_name("N")
                    .required(true)
                    .allow_hyphen_values(true)
                    .value_parser(Scale::parse)
                    .help("To so many; +N or -N: by so many"),
            ),
        )
        .subcommand(
            on_running("shutdown", "Ends the cluster gracefully: begun requests are answered")
                .arg(named_app())
                .arg(switch("wait", "wait", 'w', "Until all workers are gone")),
        )
        .subcommand(
            on_running("stop", "Ends the cluster at once; requests under way are lost")
                .arg(named_app()),
        )
        .subcommand(logs())
        .subcommand(on_running("reopen-logs", "Has workers open their log files again").long_about(
            "Has workers open their log files again, after these were moved away. It ends \
                when all have done it.",
        ))
        .subcommand(ecv())
        .subcommand(
            Command::new("completions").about("Prints the completions for a shell").arg(
                Arg::new("shell")
                    .value_name("SHELL")
                    .required(true)
                    .value_parser(value_parser!(Shell))
                    .help("Which"),
            ),
        )
        .subcommand(
            Command::new("man").about("Prints the manual page, in the format of man(1)").arg(
                Arg::new("command")
                    .value_name("COMMAND")
                    .help("Of which command; by default of the whole"),
            ),
        )
}
