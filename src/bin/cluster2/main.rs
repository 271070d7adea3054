//! The command line `cluster2`: supervises any Node server without a Node process of its own, and
//! commands running clusters.
//!
//! `start` embeds the same master as the addon. The package's JavaScript is loaded into its workers
//! before the script (`lib/preload.js`). A command to a cluster that runs asks the master that
//! holds the `pids` directory. The others (`check`, `import`, `logs`, `unit`, …) need none.

mod app_name;
mod apps;
mod args;
mod check;
mod commands;
mod conflicts;
mod console;
mod environment;
mod events;
mod flags;
mod headings;
mod help;
mod hinted;
mod hold;
mod hook;
mod import;
mod inspect;
mod launch;
mod line;
mod line_time;
mod log_file;
mod logs;
mod man;
mod merged_logs;
mod options;
mod parent;
mod past_lines;
mod planned_start;
mod pm2;
mod progress;
mod restart;
mod settings;
mod stack;
mod start;
mod status;
mod status_table;
mod table;
mod unique_keys;
mod unit;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::ArgMatches;
use cluster2_rs::config::Config;
use cluster2_rs::error::{ClusterError, ErrorCode};

/// Why a command failed: the exit code, and a text for the user.
#[derive(Debug)]
pub struct Failed {
    code: u8,
    text: String,
}

impl Failed {
    /// The command itself failed.
    pub fn new(text: impl Into<String>) -> Self {
        Self { code: 1, text: text.into() }
    }

    /// The command line, an environment variable or the configuration file is wrong.
    pub fn usage(text: impl Into<String>) -> Self {
        Self { code: 2, text: text.into() }
    }

    /// The same with more text.
    pub fn with_more(self, text: &str) -> Self {
        Self { text: self.text + text, ..self }
    }

    /// The same, of one app of several.
    fn of_app(self, name: &str) -> Self {
        Self { text: format!("app {name}: {}", self.text), ..self }
    }

    /// The cluster could not start.
    pub fn start(text: impl Into<String>) -> Self {
        Self { code: 255, text: text.into() }
    }

    /// The reader of the output has closed it, as `head` does. This is not a failure.
    fn output_closed() -> Self {
        Self { code: 0, text: String::new() }
    }

    /// Whether the cluster could not start, or has ended by itself.
    fn is_of_start(&self) -> bool {
        self.code == 255
    }

    /// Writes the text as one of the master's lines; nothing is left to be written.
    fn written_to(self, format: line::Format) -> Self {
        if !self.text.is_empty() {
            line::write_line(format, &line::Line::failure(self.text));
        }
        Self { code: self.code, text: String::new() }
    }

    /// No cluster runs here.
    pub fn not_running(text: impl Into<String>) -> Self {
        Self { code: 3, text: text.into() }
    }
}

impl From<ClusterError> for Failed {
    fn from(error: ClusterError) -> Self {
        let code = match error {
            ClusterError::NotRunning { .. } => 3,
            // Of an argument: the master knows how many workers there may be.
            _ if error.code() == ErrorCode::OptionInvalid.as_str() => 2,
            _ => 1,
        };
        Self { code, text: format!("{} ({})", error.message(), error.code()) }
    }
}

/// The error where no cluster runs in the directory `pids`, for commands that such an answer has.
pub fn not_running(pids: &Path) -> ClusterError {
    ClusterError::NotRunning { pids: pids.into(), is_missing: false }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::new(error.to_string())
    }
}

fn main() -> ExitCode {
    if let Some(code) = hold::run() {
        return code;
    }
    let matches = args::command().get_matches();
    match run(&matches) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed { code, text }) => {
            if !text.is_empty() {
                line::write_whole(&format!("cluster2: {}", line::printable(&text)));
            }
            ExitCode::from(code)
        }
    }
}

/// Commands that are for all apps of a file in turn, where none is named.
const FOR_ALL: [&str; 7] =
    ["status", "reload", "restart", "shutdown", "stop", "reopen-logs", "check"];

fn run(matches: &ArgMatches) -> Result<(), Failed> {
    let Some((command, of_command)) = matches.subcommand() else { return Ok(()) };
    if command == "start" || FOR_ALL.contains(&command) {
        // Errors of the file are found where it matters.
        let names = settings::unnamed_apps(of_command).unwrap_or_default();
        if !names.is_empty() {
            return run_for_all(command, of_command, &names);
        }
    }
    run_one(matches)
}

/// Runs a command for each app in turn, or starts all of them. Fails as the last one that fails.
fn run_for_all(command: &str, matches: &ArgMatches, names: &[String]) -> Result<(), Failed> {
    if command == "start" {
        let configs = configs_of(names)?;
        for (name, config) in &configs {
            launch::script(config).map_err(|failed| failed.of_app(name))?;
        }
        separate(&configs)?;
        let pids = configs.into_iter().map(|(_, config)| config.pids).collect();
        let format = line::Format::of(matches.get_one("format").map(String::as_str));
        return parent::start_all(names, pids, format).map_err(|failed| failed.written_to(format));
    }
    let mut failed = None;
    for name in names {
        print(format!("{name}:\n").as_bytes())?;
        if let Err(error) = run_one(&matches_of(name)) {
            line::note(&format!("{name}: {}", error.text));
            failed = Some(Failed { text: String::new(), ..error });
        }
    }
    match failed {
        Some(failed) => Err(failed),
        None if command == "check" => separate(&configs_of(names)?),
        None => Ok(()),
    }
}

/// Fails if two apps cannot run beside each other.
fn separate(apps: &[(String, Config)]) -> Result<(), Failed> {
    conflicts::first(apps).map_or(Ok(()), |text| Err(Failed::usage(text)))
}

/// This command line for one app.
fn matches_of(name: &str) -> ArgMatches {
    args::command().get_matches_from(apps::command_line(name))
}

/// Returns the options of each app. Fails as the first that has a wrong one.
fn configs_of(names: &[String]) -> Result<Vec<(String, Config)>, Failed> {
    let of = |name: &String| {
        let matches = matches_of(name);
        let (_, matches) = matches.subcommand().ok_or_else(|| Failed::usage("no command"))?;
        let config = settings::read(matches).map_err(|failed| failed.of_app(name))?;
        Ok((name.clone(), config))
    };
    names.iter().map(of).collect()
}

fn run_one(matches: &ArgMatches) -> Result<(), Failed> {
    match matches.subcommand() {
        Some(("start", matches)) => start::start(matches),
        Some(("check", matches)) => check::check(matches),
        Some(("restart", matches)) => restart::restart(matches),
        Some(("import", matches)) => import::import(matches),
        Some(("profile", matches)) => inspect::profile(matches),
        Some(("heap", matches)) => inspect::heap(matches),
        Some(("env", matches)) => environment::environment(matches),
        Some(("unit", matches)) => unit::unit(matches),
        Some(("status", matches)) => status::status(matches),
        Some(("events", matches)) => events::events(matches),
        Some(("stack", matches)) => stack::stack(matches),
        Some(("logs", matches)) => logs::logs(matches),
        Some(("completions", matches)) => completions(matches),
        Some(("man", matches)) => man::man(matches),
        Some((command, matches)) => commands::run(command, matches),
        None => Ok(()),
    }
}

fn completions(matches: &ArgMatches) -> Result<(), Failed> {
    let Some(shell) = matches.get_one::<clap_complete::Shell>("shell") else { return Ok(()) };
    let mut script = Vec::new();
    clap_complete::generate(*shell, &mut args::command(), "cluster2", &mut script);
    print(&script)
}

/// Writes a text to standard output. Its colours are left out unless that is a terminal.
pub fn print(text: &[u8]) -> Result<(), Failed> {
    write(&mut anstream::stdout(), text)
}

/// Writes bytes to standard output as they are.
pub fn copy(bytes: &[u8]) -> Result<(), Failed> {
    write(&mut io::stdout().lock(), bytes)
}

fn write(to: &mut impl Write, bytes: &[u8]) -> Result<(), Failed> {
    match to.write_all(bytes).and_then(|()| to.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failed::output_closed()),
        written => Ok(written?),
    }
}
