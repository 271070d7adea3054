//! `cluster2 import`: a configuration file of PM2 as one of ours, and what it says that has no
//! place here.

use std::path::Path;
use std::process::{Command, Stdio};

use clap::ArgMatches;
use serde_json::{Map, Value, json};

use super::launch::node;
use super::line::note;
use super::{Failed, print, settings};

/// Before the answer of Node, on a line of its own: the file may print something itself.
const MARK: &str = "cluster2-import:";
/// Prints the apps of a file as JSON.
const READ: &str = "
const { pathToFileURL } = require('node:url');
(async () => {
  const file = process.argv[1];
  const load = () => import(pathToFileURL(file));
  const { default: main, ...named } = /\\.json$/.test(file) ? require(file) : await load();
  const found = main ?? named;
  const config = typeof found === 'function' ? await found() : found;
  const apps = Array.isArray(config) ? config : config.apps ?? [config];
  console.log('\\n' + process.argv[2] + JSON.stringify([].concat(apps)));
})();";

/// Keys with the same meaning, and ours.
const SAME: &[(&str, &str)] = &[
    ("script", "exec"),
    ("cwd", "cwd"),
    ("env", "env"),
    ("max_memory_restart", "memThreshold"),
    ("kill_timeout", "shutdownTimeout"),
    ("listen_timeout", "startTimeout"),
    ("max_restarts", "giveUpAfter"),
    ("name", "name"),
];
/// Keys that need nothing here.
const NEEDLESS: &[&str] = &[
    "exec_mode",
    "instances",
    "args",
    "node_args",
    "nodeArgs",
    "interpreter_args",
    "merge_logs",
    "combine_logs",
    "wait_ready",
    "exp_backoff_restart_delay",
    "vizion",
    "pmx",
    "source_map_support",
    "force",
    "windowsHide",
    "treekill",
    "namespace",
];
/// Keys that have no counterpart, and what to do instead.
const INSTEAD: &[(&str, &str)] = &[
    ("watch", "use `node --watch` while developing"),
    ("ignore_watch", "use `node --watch` while developing"),
    ("watch_delay", "use `node --watch` while developing"),
    ("cron_restart", "have cron or a systemd timer call `cluster2 reload`"),
    ("autorestart", "a worker that ends is always replaced"),
    ("stop_exit_codes", "a worker that ends is always replaced"),
    ("min_uptime", "a worker counts as ready when it listens, or after minReadyTime"),
    ("restart_delay", "the wait before a restart grows by itself"),
    ("instance_var", "the number is in CLUSTER2_SLOT and NODE_APP_INSTANCE"),
    ("interpreter", "name Node by `--node PATH`; other programs are for systemd"),
    ("exec_interpreter", "name Node by `--node PATH`; other programs are for systemd"),
    ("uid", "use User= of the systemd unit"),
    ("gid", "use Group= of the systemd unit"),
    ("user", "use User= of the systemd unit"),
    ("log_date_format", "journald adds times, or the app does"),
    ("time", "journald adds times, or the app does"),
    ("log_type", "the app writes its own format"),
    ("shutdown_with_message", "handle SIGTERM; servers need no handler"),
    ("post_update", "run it before `cluster2 reload`"),
    ("deploy", "see docs/guide/deploying.md"),
];
const FILES: &[&str] = &["out_file", "output", "error_file", "error", "log_file", "log", "out"];

/// Runs the command.
pub fn import(matches: &ArgMatches) -> Result<(), Failed> {
    let given = matches.get_one::<String>("file").map_or("ecosystem.config.js", String::as_str);
    let file = settings::logical(Path::new(given));
    if !file.is_file() {
        return Err(Failed::usage(format!("there is no file {}", file.display())));
    }
    let apps = read(&file, matches)?;
    let mut translated = Map::new();
    for (index, app) in apps.iter().enumerate() {
        let Value::Object(app) = app else { continue };
        let name = app.get("name").and_then(Value::as_str).map(str::to_owned);
        let name = name.unwrap_or_else(|| format!("app{index}"));
        let mut notes = Vec::new();
        translated.insert(name.clone(), translate(app, &mut notes).into());
        notes.iter().for_each(|text| note(&format!("{name}: {text}")));
    }
    let mut all: Vec<(String, Value)> = translated.into_iter().collect();
    let config = match (all.len(), all.pop()) {
        (1, Some((_, only))) => only,
        (_, Some(last)) => {
            let apps = all.into_iter().chain([last]).map(|(name, mut app)| {
                // It is the key.
                if let Some(app) = app.as_object_mut() {
                    app.remove("name");
                }
                (name, app)
            });
            json!({ "apps": apps.collect::<Map<_, _>>() })
        }
        (_, None) => return Err(Failed::new(format!("{} has no apps", file.display()))),
    };
    print(format!("{config:#}\n").as_bytes())
}

fn read(file: &Path, matches: &ArgMatches) -> Result<Vec<Value>, Failed> {
    let node = node(matches)?;
    let failed = |reason: String| Failed::new(format!("cannot read {}: {reason}", file.display()));
    let mut command = Command::new(node);
    command.args(["-e", READ]).arg(file).arg(MARK).stdin(Stdio::null());
    let output = command.output().map_err(|error| failed(error.to_string()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let json = text.lines().rev().find_map(|line| line.strip_prefix(MARK));
    let apps = json.and_then(|json| serde_json::from_str(json).ok());
    apps.ok_or_else(|| failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

/// Returns our options for an app of PM2. Adds to `notes` what has no place in them.
fn translate(app: &Map<String, Value>, notes: &mut Vec<String>) -> Map<String, Value> {
    let mut options = Map::new();
    for (theirs, ours) in SAME {
        if let Some(value) = app.get(*theirs).filter(|value| !value.is_null()) {
            options.insert((*ours).to_owned(), value.clone());
        }
    }
    options.insert("noWorkers".to_owned(), workers(app, notes));
    for (theirs, ours) in
        [("args", "args"), ("node_args", "execArgv"), ("interpreter_args", "execArgv")]
    {
        if let Some(list) = app.get(theirs).and_then(list) {
            options.insert(ours.to_owned(), list);
        }
    }
    if let Some(port) = app.get("port").filter(|port| !port.is_null()) {
        options.entry("env").or_insert_with(|| json!({}))["PORT"] = json!(text(port));
    }
    for key in app.keys() {
        let known =
            SAME.iter().any(|(theirs, _)| theirs == key) || NEEDLESS.contains(&key.as_str());
        let instead = INSTEAD.iter().find(|(theirs, _)| theirs == key);
        if let Some((_, instead)) = instead {
            let is_off = app[key] == false || (key == "autorestart" && app[key] == true);
            if !is_off {
                notes.push(format!("{key} is left out: {instead}"));
            }
        } else if FILES.contains(&key.as_str()) {
            options.insert("output".to_owned(), json!("files"));
            notes.push(format!(
                "{key}: output goes to worker-<slot>.out.log and .err.log in the directory `logs`"
            ));
        } else if key.starts_with("env_") {
            notes.push(format!("{key} is left out: make a file for it, and use --config FILE"));
        } else if !known && key != "port" {
            notes.push(format!("{key} is left out: it is not known here"));
        }
    }
    if app.get("wait_ready") == Some(&json!(true)) {
        notes.push(
            "wait_ready: a server is ready when it listens; add \"listen\": false if this one \
            does not"
                .to_owned(),
        );
    }
    options
}

fn workers(app: &Map<String, Value>, notes: &mut Vec<String>) -> Value {
    match app.get("instances").or_else(|| app.get("exec_mode").filter(|mode| *mode == "cluster")) {
        None => json!(1),
        Some(given) => match text(given).parse::<i64>() {
            Ok(count @ 1..) => json!(count),
            Ok(0) => json!("max"),
            Ok(less) => {
                notes.push(format!("instances: {less} is left out; noWorkers is 'max'"));
                json!("max")
            }
            Err(_) if given == "cluster" => json!(1),
            Err(_) => json!("max"),
        },
    }
}

/// A list of arguments, which may be one text.
fn list(value: &Value) -> Option<Value> {
    match value {
        Value::String(text) if text.trim().is_empty() => None,
        Value::String(text) => Some(text.split_whitespace().collect()),
        Value::Array(_) => Some(value.clone()),
        _ => None,
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
