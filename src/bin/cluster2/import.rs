//! `cluster2 import`: a configuration file of PM2 as one of ours, and what it says that has no
//! place here.
//!
//! The file is code. What always holds: Node reads it in a process of its own, which is killed if
//! it takes too long.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use clap::ArgMatches;
use cluster2_rs::os::thread;
use serde::Deserialize;
use serde_json::Value;

use super::launch::node;
use super::line::note;
use super::{Failed, pm2, print, settings};

/// How long the file may take, unless `--timeout` says otherwise. PM2 has no limit.
const WITHIN: u64 = 30;
/// Before the answer of Node, on a line of its own: the file may print something itself.
const MARK: &str = "cluster2-import:";
/// Prints the apps of a file as JSON, and the keys beside them.
const READ: &str = "
const { pathToFileURL } = require('node:url');
(async () => {
  const file = process.argv[1];
  const load = async () => {
    const { default: main, ...named } = await import(pathToFileURL(file));
    return main ?? named;
  };
  const found = /\\.json$/.test(file) ? require(file) : await load();
  const config = await (typeof found === 'function' ? found() : found);
  const key = Array.isArray(config) ? undefined : ['apps', 'pm2'].find((name) => config?.[name]);
  const apps = [].concat(key ? config[key] : config);
  const beside = key ? Object.keys(config).filter((name) => name !== key) : [];
  const plain = (name, value) => (typeof value === 'bigint' ? String(value) : value);
  console.log('\\n' + process.argv[2] + JSON.stringify({ apps, beside }, plain));
  process.exit(); // It may have started timers.
})();";

/// What the file says.
#[derive(Deserialize)]
struct Read {
    apps: Vec<Value>,
    /// The file's keys beside its apps.
    beside: Vec<String>,
}

/// Runs the command.
pub(crate) fn import(matches: &ArgMatches) -> Result<(), Failed> {
    let given = matches.get_one::<String>("file").map_or("ecosystem.config.js", String::as_str);
    let file = settings::logical(Path::new(given));
    if !file.is_file() {
        return Err(Failed::usage(format!(
            "there is no file {}; name the file of PM2: cluster2 import FILE",
            file.display()
        )));
    }
    if file.extension().is_some_and(|kind| kind == "yml" || kind == "yaml") {
        return Err(Failed::usage(format!(
            "{}: Node reads no YAML; convert it to JSON first",
            file.display()
        )));
    }
    let Read { apps, beside } = read(&file, matches)?;
    let translated = pm2::translate(&apps, &beside);
    let pm2::Translated { config, notes } =
        translated.map_err(|reason| Failed::new(format!("{}: {reason}", file.display())))?;
    notes.iter().for_each(|text| note(text));
    print(format!("{config:#}\n").as_bytes())
}

fn read(file: &Path, matches: &ArgMatches) -> Result<Read, Failed> {
    let node = node(matches)?;
    let within = matches.get_one::<u64>("timeout").copied().unwrap_or(WITHIN);
    let failed = |reason: String| Failed::new(format!("cannot read {}: {reason}", file.display()));
    let mut command = Command::new(node);
    command.args(["-e", READ]).arg(file).arg(MARK).stdin(Stdio::null());
    let (stdout, stderr) = output(&mut command, Duration::from_secs(within))
        .map_err(|error| failed(error.to_string()))?
        .ok_or_else(|| failed(format!("it has not ended within {within} s (--timeout)")))?;
    let text = String::from_utf8_lossy(&stdout);
    let json = text.lines().rev().find_map(|line| line.strip_prefix(MARK));
    let read = json.and_then(|json| serde_json::from_str(json).ok());
    read.ok_or_else(|| failed(String::from_utf8_lossy(&stderr).trim().to_owned()))
}

/// Runs `command`, and returns its output and errors. `None`: it took longer than `within`, and was
/// killed.
fn output(command: &mut Command, within: Duration) -> io::Result<Option<(Vec<u8>, Vec<u8>)>> {
    let deadline = Instant::now() + within;
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let pipes = drain(child.stdout.take()).and_then(|out| Ok((out, drain(child.stderr.take())?)));
    // Both end with the process, unless a child of its own has them.
    let read = |pipe: Receiver<Vec<u8>>| {
        pipe.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()
    };
    let output = pipes.map(|(stdout, stderr)| read(stdout).zip(read(stderr)));
    if !matches!(output, Ok(Some(_))) {
        child.kill()?;
    }
    child.wait()?;
    output
}

/// Reads a pipe to its end, on a thread of its own.
fn drain(pipe: Option<impl io::Read + Send + 'static>) -> io::Result<Receiver<Vec<u8>>> {
    let (sender, all) = channel();
    thread::start("import", move || {
        let mut bytes = Vec::new();
        // What was read counts.
        let _ = pipe.map(|mut pipe| pipe.read_to_end(&mut bytes));
        // Nobody may wait for it any longer.
        let _ = sender.send(bytes);
    })?;
    Ok(all)
}
