//! `cluster2 unit`: a systemd unit that starts this cluster as `start` with the same command line
//! does, or the parent of several apps; and a socket unit for the ports of one.

use std::env;
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use clap::parser::ValueSource;
use cluster2_rs::config::{Config, Port};

use super::launch::lasting_node;
use super::{Failed, apps, args, flags, print, settings};

/// Seconds that systemd waits longer than the cluster itself does.
const MARGIN: u64 = 10;
/// Seconds within which systemd expects a sign of life.
const WATCHDOG: u64 = 30;
const ONE_SOCKET_UNIT: &str =
    "which app? A socket unit is for one: cluster2 unit --socket --app NAME --port PORT";

/// Runs the command.
pub(crate) fn unit(matches: &ArgMatches) -> Result<(), Failed> {
    let apps = App::all(matches)?;
    let directory = settings::logical(Path::new(""));
    let named = matches.get_one::<String>("unit").cloned();
    let name = named.unwrap_or_else(|| name_of(&directory));
    if name.is_empty() || !name.chars().all(is_of_name) {
        return Err(Failed::usage(format!(
            "--unit must be a name of letters, digits, '-', '_' and '.'; got {name}"
        )));
    }
    let text = match (matches.get_flag("socket"), &apps[..]) {
        (false, apps) => service(&name, apps, matches, &directory)?,
        (true, [app]) => socket(&name, &app.config)?,
        (true, _) => return Err(Failed::usage(ONE_SOCKET_UNIT)),
    };
    print(text.as_bytes())
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || ":-_.\\".contains(c)
}

/// Returns the name of the unit of a directory: its own, as far as a unit can have it.
fn name_of(directory: &Path) -> String {
    let own = directory.file_name().unwrap_or_default().to_string_lossy();
    let name = own.replace(|c| !is_of_name(c), "-");
    let name = name.trim_matches(['-', '.']);
    if name.is_empty() { "app".to_owned() } else { name.to_owned() }
}

/// What a unit starts.
struct App {
    /// Its name among several.
    name: Option<String>,
    config: Config,
}

impl App {
    /// Returns the app of this command line, or all of a file of several if none is named.
    fn all(matches: &ArgMatches) -> Result<Vec<Self>, Failed> {
        let names = settings::unnamed_apps(matches)?;
        if names.is_empty() {
            return Ok(vec![Self { name: None, config: settings::read(matches)? }]);
        }
        let of = |name: String| {
            let matches = args::command().get_matches_from(apps::command_line(&name));
            let (_, matches) = matches.subcommand().ok_or_else(|| Failed::usage("no command"))?;
            Ok(Self { config: settings::read(matches)?, name: Some(name) })
        };
        names.into_iter().map(of).collect()
    }

    /// Returns what people call it. Fails if it cannot be started by a unit.
    fn title(&self) -> Result<&str, Failed> {
        let Some(script) = self.config.exec.as_deref() else {
            let name = self.name.as_ref().map(|name| format!(" of app {name}")).unwrap_or_default();
            return Err(Failed::usage(format!(
                "which script{name}? Name it after `unit`, or as `exec` in the configuration file"
            )));
        };
        match &self.name {
            Some(name) if self.inherits() => Err(Failed::usage(format!(
                "app {name} takes a socket of systemd, which the parent of several apps does not \
                 pass on: `cluster2 unit {name}` prints a unit for it alone"
            ))),
            Some(name) => Ok(name),
            None => Ok(script),
        }
    }

    /// Whether systemd opens its ports.
    fn inherits(&self) -> bool {
        self.config.ports.iter().any(Port::is_inherited)
    }
}

fn service(
    name: &str,
    apps: &[App],
    matches: &ArgMatches,
    directory: &Path,
) -> Result<String, Failed> {
    let titles = apps.iter().map(App::title).collect::<Result<Vec<_>, _>>()?;
    let sockets = match apps.iter().any(App::inherits) {
        true => format!("Requires={name}.socket\nAfter={name}.socket\n"),
        false => String::new(),
    };
    let longest = |millis: fn(&Config) -> u64| {
        let longest = apps.iter().map(|app| millis(&app.config)).max().unwrap_or_default();
        longest.div_ceil(1_000) + MARGIN
    };
    let start = longest(|config| config.start_timeout);
    let stop = longest(|config| config.shutdown_delay + config.shutdown_timeout);
    let ready = match apps.len() {
        1 => "READY=1 comes with the first worker that is ready.",
        _ => "READY=1 comes when each app has a worker that is ready.",
    };
    let watched = match apps.len() {
        1 => "The master's threads give a sign of life; the master replaces workers that hang.",
        _ => "The parent gives a sign of life while all masters answer.",
    };
    let ended = match apps.len() {
        1 => "SIGTERM to the master only, which ends its workers.",
        _ => "SIGTERM to the parent only, which passes it on to the masters.",
    };
    Ok(format!(
        "# /etc/systemd/system/{name}.service
[Unit]
Description={}
After=network.target
{sockets}
[Service]
# {ready}
Type=notify
User={}
WorkingDirectory={}
{}ExecStart={}
ExecReload=/bin/kill -HUP $MAINPID
# {watched}
WatchdogSec={WATCHDOG}
# {ended}
KillMode=mixed
TimeoutStartSec={start}
TimeoutStopSec={stop}
Restart=on-failure

[Install]
WantedBy=multi-user.target
",
        quoted_setting(&format!("{} by cluster2", titles.join(", "))),
        user(),
        quoted_setting(&directory.to_string_lossy()),
        variables(),
        command_line(directory, matches)?,
    ))
}

fn socket(name: &str, config: &Config) -> Result<String, Failed> {
    let listen: Vec<String> = config
        .ports
        .iter()
        .filter_map(|port| match port {
            Port::Tcp(port) if config.host == "::" => Some(format!("ListenStream={port}\n")),
            Port::Tcp(port) if config.host.contains(':') => {
                Some(format!("ListenStream=[{}]:{port}\n", config.host))
            }
            Port::Tcp(port) => Some(format!("ListenStream={}:{port}\n", config.host)),
            Port::Unix(_) if port.is_inherited() => None,
            Port::Unix(path) => {
                let path = settings::logical(Path::new(path));
                Some(format!("ListenStream={}\n", quoted_setting(&path.to_string_lossy())))
            }
        })
        .collect();
    if listen.is_empty() {
        return Err(Failed::usage("which ports does systemd open? Name them by --port"));
    }
    Ok(format!(
        "# /etc/systemd/system/{name}.socket: systemd listens, so that a restart of {name}.service
# refuses no client. The cluster finds it by its address, or by `--port systemd:{name}`.
[Socket]
{}FileDescriptorName={name}
Backlog=511

[Install]
WantedBy=sockets.target
",
        listen.concat()
    ))
}

/// The user that runs this command.
fn user() -> String {
    let number = rustix::process::geteuid().as_raw();
    let entry = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        (fields.nth(1)?.parse() == Ok(number)).then_some(name)
    };
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    users.lines().find_map(entry).unwrap_or_else(|| number.to_string())
}

/// The variables that are options. A token would be readable by everybody in a unit.
fn variables() -> String {
    let is_secret = |name: &str| name.ends_with("TOKEN") || name == "CLUSTER2_NODE";
    let line = |name: String| {
        let value = env::var(&name).ok().filter(|_| !is_secret(&name))?;
        Some(format!("Environment={}\n", quoted_argument(&format!("{name}={value}"))))
    };
    flags::variables().filter_map(line).collect()
}

/// This command line, with `start` in place of `unit`, and Node by its path.
fn command_line(directory: &Path, matches: &ArgMatches) -> Result<String, Failed> {
    let program = env::var_os("CLUSTER2_PACKAGE")
        .map(|package| PathBuf::from(package).join("bin/cluster2"))
        .filter(|program| program.exists())
        .or_else(|| env::current_exe().ok())
        .unwrap_or_default();
    // Where the directory was reached by a symlink, so is the program below it.
    let real = env::current_dir().unwrap_or_default();
    let program = match program.strip_prefix(real) {
        Ok(below) => directory.join(below),
        Err(_) => program,
    };
    let mut arguments = env::args_os().skip(1).map(|text| text.to_string_lossy().into_owned());
    let mut kept = vec![program.to_string_lossy().into_owned()];
    let mut is_of_script = false;
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            _ if is_of_script => kept.push(argument),
            "unit" if kept.iter().all(|kept| kept != "start") => {
                kept.push("start".to_owned());
                if matches.value_source("node") != Some(ValueSource::CommandLine) {
                    kept.push(format!("--node={}", lasting_node(matches)?.display()));
                }
            }
            "--unit" => drop(arguments.next()),
            "--socket" => {}
            text if text.starts_with("--unit=") => {}
            text => {
                is_of_script = text == "--";
                kept.push(argument);
            }
        }
    }
    Ok(kept.iter().map(|argument| quoted_argument(argument)).collect::<Vec<_>>().join(" "))
}

/// As an argument of `ExecStart`.
fn quoted_argument(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%");
    let escaped = escaped.replace('$', "$$").replace('\n', "\\n");
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:=,@%+".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) { escaped } else { format!("\"{escaped}\"") }
}

/// As the value of a setting.
fn quoted_setting(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "%%").replace('\n', " ")
}
