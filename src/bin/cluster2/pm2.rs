//! The apps of PM2 as ours.
//!
//! Pure: `import` reads the file. What always holds: nothing of it is dropped silently, each app is
//! kept, and its name is one that a directory may have.

use serde_json::{Map, Value, json};

/// What `import` prints: our configuration, and notes about what has no place in it.
pub(crate) struct Translated {
    /// Our options: of the app, or with `apps` of several.
    pub config: Value,
    /// A line each.
    pub notes: Vec<String>,
}

/// Keys with the same meaning, and ours.
const SAME: &[(&str, &str)] = &[
    ("script", "exec"),
    ("cwd", "cwd"),
    ("max_memory_restart", "memThreshold"),
    ("kill_timeout", "shutdownTimeout"),
    ("listen_timeout", "startTimeout"),
    ("max_restarts", "giveUpAfter"),
];
/// Keys that need nothing here, or are translated apart.
const NEEDLESS: &[&str] = &[
    "name",
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

/// Translates the apps of a file. `beside`: the keys of the file beside its apps. Fails with what
/// is wrong, in words.
pub(crate) fn translate(apps: &[Value], beside: &[String]) -> Result<Translated, String> {
    let mut translated = Map::new();
    let mut all_notes: Vec<String> = beside.iter().map(|key| left_out(key)).collect();
    for (index, app) in apps.iter().enumerate() {
        let app = app.as_object().filter(|app| app.get("script").is_some_and(Value::is_string));
        let Some(app) = app else {
            return Err(format!(
                "app {} of {} must be an object with a `script`",
                index + 1,
                apps.len()
            ));
        };
        let given = app.get("name").and_then(Value::as_str).filter(|name| !name.is_empty());
        let (name, mut notes) = named(given, index, &translated);
        let mut options = options(app, &mut notes);
        if given.is_some() {
            options.insert("name".to_owned(), json!(name));
        }
        translated.insert(name.clone(), options.into());
        all_notes.extend(notes.iter().map(|text| format!("{name}: {text}")));
    }
    if translated.len() > 1 {
        // The name is the key.
        translated.values_mut().filter_map(Value::as_object_mut).for_each(|app| {
            app.remove("name");
        });
        return Ok(Translated { config: json!({ "apps": translated }), notes: all_notes });
    }
    match translated.into_iter().next() {
        Some((_, config)) => Ok(Translated { config, notes: all_notes }),
        None => Err("there are no apps".to_owned()),
    }
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

/// Returns our options for an app of PM2. Adds to `notes` what has no place in them.
fn options(app: &Map<String, Value>, notes: &mut Vec<String>) -> Map<String, Value> {
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
            "script {} is not a file for Node: put the file that it runs in \"exec\"",
            text(&app["script"])
        ));
    }
    if let Some(port) = app.get("port").filter(|port| !port.is_null()) {
        options.entry("env").or_insert_with(|| json!({}))["PORT"] = json!(text(port));
    }
    for key in app.keys() {
        let known =
            SAME.iter().any(|(theirs, _)| theirs == key) || NEEDLESS.contains(&key.as_str());
        if INSTEAD.iter().any(|(theirs, _)| theirs == key) {
            let is_off = [json!(false), Value::Null].contains(&app[key])
                || (key == "autorestart" && app[key] == true)
                || (key.ends_with("interpreter") && app[key] == "node");
            if !is_off {
                notes.push(left_out(key));
            }
        } else if FILES.contains(&key.as_str()) {
            options.insert("output".to_owned(), json!("files"));
            notes.push(format!(
                "{key}: output goes to worker-<slot>.out.log and .err.log in the directory `logs`"
            ));
        } else if key.starts_with("env_") {
            notes.push(format!("{key} is left out: make a file for it, and use --config FILE"));
        } else if !known && key != "port" {
            notes.push(left_out(key));
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

/// Says that a key has no counterpart, and what to do instead.
fn left_out(key: &str) -> String {
    let instead = INSTEAD.iter().find(|(theirs, _)| *theirs == key);
    let instead = instead.map_or("it is not known here", |(_, instead)| instead);
    format!("{key} is left out: {instead}")
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
