//! Several apps in one configuration file: `{ "apps": { "api": {…}, "jobs": {…} } }`.
//!
//! Options beside `apps` count for all of them. What always holds: each app has directories of its
//! own (`pids/<name>`, `logs/<name>`) and a port of its own for its monitor, unless it names some.
//! A name is that of a directory below them. A word that stands for an app names one of the file:
//! a mistyped `stop apii` never means all of them.

use std::ffi::OsString;

use clap::ArgMatches;
use serde_json::{Map, Value, json};

use super::{Failed, app_name};

/// The monitor's port of the first app; the others follow.
const FIRST_MONITOR: u64 = 3001;
/// Arguments that may name an app, besides `--app`.
const PLACES: [&str; 3] = ["named-app", "exec", "files"];

/// Returns the options of one app, if `options` are of several. `name`: which one.
pub(crate) fn choose(
    mut options: Map<String, Value>,
    name: Option<&str>,
    file: &str,
) -> Result<Map<String, Value>, Failed> {
    let apps = match options.remove("apps") {
        None => return Ok(options),
        Some(Value::Object(apps)) if !apps.is_empty() => apps,
        Some(_) => {
            return Err(Failed::usage(format!(
                "option 'apps' in {file} must be an object with options for each app, by its name"
            )));
        }
    };
    let names: Vec<String> = apps.keys().cloned().collect();
    let Some(name) = name else {
        return Err(Failed::usage(format!("which app? Name it by --app: {}", names.join(", "))));
    };
    let Some(index) = names.iter().position(|known| known == name) else {
        return Err(unknown(name, &names, file));
    };
    let Value::Object(own) = &apps[name] else {
        return Err(Failed::usage(format!("option 'apps.{name}' in {file} must be an object")));
    };
    let base = options.get("monPort").map_or(Some(FIRST_MONITOR), Value::as_u64);
    if let Some(base) = base {
        options.insert("monPort".to_owned(), json!(base + index as u64));
    }
    for directory in ["pids", "logs"] {
        let root = options.get(directory).and_then(Value::as_str).unwrap_or(directory);
        let below = format!("{root}/{name}");
        options.insert(directory.to_owned(), json!(below));
    }
    options.insert("name".to_owned(), json!(name));
    options.extend(own.clone());
    Ok(options)
}

/// Returns the app that the command line names: by `--app`, or where a script or a file would
/// stand. `options` are those of the file.
pub(crate) fn named(matches: &ArgMatches, options: &Map<String, Value>) -> Option<String> {
    let by_flag = matches.try_get_one::<String>("app").ok().flatten();
    by_flag.cloned().or_else(|| by_place(matches, options))
}

/// As `named`, but only where a script or a file would stand.
pub(crate) fn by_place(matches: &ArgMatches, options: &Map<String, Value>) -> Option<String> {
    let names = all(options);
    let first =
        |place: &&str| matches.try_get_many::<String>(place).ok().flatten()?.next().cloned();
    PLACES.iter().filter_map(first).find(|name| names.contains(name))
}

/// Fails if a name in the file cannot be that of a directory, or if the command line names an app
/// that the file does not have.
pub(crate) fn verify(
    matches: &ArgMatches,
    options: &Map<String, Value>,
    file: &str,
) -> Result<(), Failed> {
    let names = all(options);
    if let Some(bad) = names.iter().find(|name| !app_name::is_valid(name)) {
        return Err(Failed::usage(format!(
            "option 'apps' in {file}: the name of an app must be that of a directory, without '/' \
             and control characters, and begin with neither '-' nor '.'; got {bad:?}"
        )));
    }
    let word = |place| matches.try_get_one::<String>(place).ok().flatten();
    let is_known = |name: &String| match names.is_empty() {
        false => names.contains(name),
        true => options.get("name").and_then(Value::as_str) == Some(name),
    };
    // Where there is one app only, `exec` is its script.
    let exec = word("exec").filter(|_| !names.is_empty());
    let given = word("app").or_else(|| word("named-app")).or(exec);
    match given.filter(|name| !is_known(name)) {
        None => Ok(()),
        Some(name) if names.is_empty() => Err(Failed::usage(format!(
            "there is no app {name}: {file} of this directory does not exist, or is not of several \
             apps; leave the name out"
        ))),
        Some(name) => Err(unknown(name, &names, file)),
    }
}

fn unknown(name: &str, names: &[String], file: &str) -> Failed {
    Failed::usage(format!("{file} has no app {name}; the apps are: {}", names.join(", ")))
}

/// Returns the names of all apps in a file; none where it is of a single one.
pub(crate) fn all(options: &Map<String, Value>) -> Vec<String> {
    match options.get("apps") {
        Some(Value::Object(apps)) => apps.keys().cloned().collect(),
        _ => Vec::new(),
    }
}

/// This command line for the app `name`.
pub(crate) fn command_line(name: &str) -> Vec<OsString> {
    let mut arguments = std::env::args_os();
    let program = arguments.next().unwrap_or_default();
    let chosen = [program, "--app".into(), name.into()];
    chosen.into_iter().chain(arguments).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(options: &Value, name: Option<&str>) -> Result<Value, String> {
        let Value::Object(options) = options.clone() else { unreachable!("it is an object") };
        choose(options, name, "f.json").map(Value::Object).map_err(|failed| failed.text)
    }

    #[test]
    fn an_app_has_what_counts_for_all_its_own_options_and_a_place_of_its_own() {
        let options = json!({
            "output": "files",
            "apps": { "api": { "exec": "a.js" }, "jobs": { "exec": "b.js", "monPort": false } },
        });
        assert_eq!(
            chosen(&options, Some("api")).unwrap(),
            json!({ "exec": "a.js", "output": "files", "name": "api", "monPort": 3001,
                "pids": "pids/api", "logs": "logs/api" })
        );
        let jobs = chosen(&options, Some("jobs")).unwrap();
        assert_eq!((&jobs["monPort"], &jobs["pids"]), (&json!(false), &json!("pids/jobs")));
        assert!(chosen(&options, None).unwrap_err().contains("--app: api, jobs"));
        assert!(chosen(&options, Some("x")).unwrap_err().contains("the apps are: api, jobs"));
        assert_eq!(chosen(&json!({ "exec": "a.js" }), None).unwrap(), json!({ "exec": "a.js" }));
        assert!(chosen(&json!({ "apps": [] }), None).unwrap_err().contains("must be an object"));
    }
}
