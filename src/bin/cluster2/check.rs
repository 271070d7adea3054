//! `cluster2 check`: what `start` would find wrong, without starting anything.

use std::path::Path;
use std::process::{Command as Process, Stdio};

use clap::ArgMatches;
use cluster2_rs::config::{Config, Output, Port};
use cluster2_rs::error::ClusterError;
use cluster2_rs::master::{Launch, try_app_ports, try_monitor_port};
use cluster2_rs::remote;
use rustix::fs::{Access, AtFlags, CWD, accessat};
use serde_json::Value;

use super::console::Console;
use super::launch::launch;
use super::line::Format;
use super::{Failed, print, settings};

/// What Node can check the syntax of.
const SCRIPTS: [&str; 3] = ["js", "cjs", "mjs"];

type Found = Result<String, String>;

/// Runs the command.
pub(crate) fn check(matches: &ArgMatches) -> Result<(), Failed> {
    let config = settings::read(matches)?;
    let (console, written) = Console::open(Format::of(None))?;
    let (launch, app) = launch(&config, matches, &console)?;
    drop(console);
    written.wait();
    let script = launch.args.first().map_or("", String::as_str);
    let running = remote::glance(&config.pids);
    let mut checks: Vec<(&str, Found)> = vec![
        ("options", Ok("valid".to_owned())),
        ("script", syntax(&launch, script).map(|()| format!("{script}, by Node {}", app.node))),
        ("pids", writable(&config.pids)),
    ];
    if config.output == Output::Files {
        checks.push(("logs", writable(&config.logs)));
    }
    checks.extend(ports(&config, running.as_ref()));
    let problems: Vec<String> = checks
        .iter()
        .filter_map(|(name, found)| Some(format!("{name}: {}", found.as_ref().err()?)))
        .collect();
    let good = checks
        .iter()
        .filter_map(|(name, found)| found.as_ref().ok().map(|text| format!("{name:<8} {text}\n")));
    print(good.collect::<String>().as_bytes())?;
    match problems.is_empty() {
        true => Ok(()),
        false => Err(Failed::new(problems.join("\ncluster2: "))),
    }
}

/// Asks Node whether it can read the script.
fn syntax(launch: &Launch, script: &str) -> Result<(), String> {
    let extension = Path::new(script).extension().and_then(|extension| extension.to_str());
    if !extension.is_some_and(|extension| SCRIPTS.contains(&extension)) {
        return Ok(());
    }
    let mut node = Process::new(&launch.program);
    node.args(["--check", script]).env_clear().envs(&launch.env).stdin(Stdio::null());
    let output = node.output().map_err(|error| format!("{}: {error}", launch.program))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}

/// Whether this user may write into a directory, or make it.
fn writable(directory: &Path) -> Found {
    let nearest = directory.ancestors().find(|above| above.exists()).unwrap_or(directory);
    if !nearest.is_dir() {
        return Err(format!("{} is not a directory", nearest.display()));
    }
    match accessat(CWD, nearest, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS) {
        Ok(()) if nearest == directory => Ok(format!("{} may be written", directory.display())),
        Ok(()) => Ok(format!("{} can be made", directory.display())),
        Err(error) => Err(format!("{}: {error}", nearest.display())),
    }
}

/// Tries the ports, except where a cluster that runs in the same directory has them.
fn ports(config: &Config, running: Option<&Value>) -> Vec<(&'static str, Found)> {
    if let Some(status) = running {
        let text = format!("not tried: master {} has them", status["master"]["pid"]);
        return vec![("ports", Ok(text))];
    }
    let said = |error: ClusterError| format!("{} ({})", error.message(), error.code());
    let free = |names: Vec<String>| match names.is_empty() {
        true => "none of its own: the script says where it listens".to_owned(),
        false => format!("{} free", names.join(", ")),
    };
    let name = |port: &Port| match port {
        Port::Tcp(port) => port.to_string(),
        Port::Unix(path) => path.clone(),
    };
    let app = try_app_ports(config, true).map(|ports| free(ports.iter().map(name).collect()));
    let monitor = try_monitor_port(config)
        .map(|address| address.map_or("off".to_owned(), |address| format!("{address} free")));
    vec![("ports", app.map_err(said)), ("monitor", monitor.map_err(said))]
}
