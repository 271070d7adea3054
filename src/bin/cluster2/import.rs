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
  const load = async () => {
    const { default: main, ...named } = await import(pathToFileURL(file));
    return main ?? named;
  };
  const found = /\\.json$/.test(file) ? require(file) : await load();
  const config = await (typeof found === 'function' ? found() : found);
  const apps = Array.isArray(config) ? config : config?.apps ?? [config];
  const plain = (key, value) => (typeof value === 'bigint' ? String(value) : value);
  console.log('\\n' + process.argv[2] + JSON.stringify([].concat(apps), plain));
  process.exit(); // It may have started timers.
})();";

/// Keys with the same meaning, and ours.
const SAME: &[(&str, &str)] = &[
    ("script", "exec"),
    ("cwd", "cwd"),
    ("max_memory_restart", "memThreshold"),
    ("kill_timeout", "shutdownTimeout"),
    ("listen_timeout", "startTimeout"),
    ("max_restarts", "giveUpAfter"),
    ("name", "name"),
];
/// Keys that need nothing here, or are translated apart.
const NEEDLESS: &[&str] = &[
    "env",
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
    ("increment_var", "all workers share the app's port"),
    ("filter_env", "name what workers get in `env`, and start the cluster without the rest"),
    ("pid_file", "the pid is in master.pid of the directory `pids`"),
    ("disable_logs", "workers write where the master does, unless \"output\" is \"files\""),
    ("env_file", "let Node read it, by `--exec-argv=--env-file=FILE`"),
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
    let apps = read(&file, matches)?;
    let mut translated = Map::new();
    for (index, app) in apps.iter().enumerate() {
        let app = app.as_object().filter(|app| app.get("script").is_some_and(Value::is_string));
        let Some(app) = app else {
            return Err(Failed::new(format!(
                "{}: app {} of {} must be an object with a `script`",
                file.display(),
                index + 1,
                apps.len()
            )));
        };
        let given = app.get("name").and_then(Value::as_str).filter(|name| !name.is_empty());
        let (name, mut notes) = named(given, index, &translated);
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

/// Returns a name that no app before has, and that a directory may have.
fn named(given: Option<&str>, index: usize, taken: &Map<String, Value>) -> (String, Vec<String>) {
    let is_bad = |c: char| c == '/' || c.is_control();
    let mut name = match given {
        Some(given) => given.replace(is_bad, "-").trim_start_matches(['-', '.']).to_owned(),
        None => format!("app{index}"),
    };
    while name.is_empty() || taken.contains_key(&name) {
        name = format!("{name}{index}");
    }
    let changed = given.filter(|given| *given != name);
    let note = |given| format!("the name {given:?} is bad or taken; this is {name}");
    let notes = changed.map(note).into_iter().collect();
    (name, notes)
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
    for (ours, theirs) in
        [("args", &["args"][..]), ("execArgv", &["node_args", "nodeArgs", "interpreter_args"])]
    {
        let all: Vec<Value> =
            theirs.iter().filter_map(|key| app.get(*key)).flat_map(list).collect();
        if !all.is_empty() {
            options.insert(ours.to_owned(), all.into());
        }
    }
    if let Some(Value::Object(env)) = app.get("env") {
        let values = env.iter().filter(|(_, value)| !value.is_null());
        let env = values.map(|(name, value)| (name.clone(), json!(text(value))));
        options.insert("env".to_owned(), env.collect::<Map<_, _>>().into());
    }
    if ["npm", "yarn", "pnpm", "npx", "bash", "sh"].iter().any(|name| app["script"] == *name) {
        notes.push(format!(
            "script {} is no file for Node: put the file that it runs in \"exec\"",
            text(&app["script"])
        ));
    }
    if let Some(port) = app.get("port").filter(|port| !port.is_null()) {
        options.entry("env").or_insert_with(|| json!({}))["PORT"] = json!(text(port));
    }
    for key in app.keys() {
        let known =
            SAME.iter().any(|(theirs, _)| theirs == key) || NEEDLESS.contains(&key.as_str());
        let instead = INSTEAD.iter().find(|(theirs, _)| theirs == key);
        if let Some((_, instead)) = instead {
            let is_off = [json!(false), Value::Null].contains(&app[key])
                || (key == "autorestart" && app[key] == true)
                || (key.ends_with("interpreter") && app[key] == "node");
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

/// A list of arguments, which may be one text: words with quotes around what belongs together.
fn list(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(list) => list.iter().map(|word| json!(text(word))).collect(),
        Value::String(text) => words(text).into_iter().map(Value::String).collect(),
        _ => Vec::new(),
    }
}

fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in text.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
