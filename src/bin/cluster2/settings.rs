//! What the user asked for, from flags, environment, configuration file and defaults.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use cluster2_rs::config::Config;
use cluster2_rs::error::ClusterError;
use serde_json::{Map, Value};

use super::{Failed, flags};

/// Looked for in the working directory where no other file is named.
const FILE: &str = "cluster2.json";

/// The options, checked, with the script as `exec` and its arguments as `args`; directories are absolute. Without a port where none
/// was given: the script's own count. What is wrong is named as the user wrote it: the flag, the variable, or the option in the file.
pub fn read(matches: &ArgMatches) -> Result<Config, Failed> {
    let (file, mut options) = read_file(matches)?;
    for name in ["exec", "args"] {
        let given = matches.try_get_many::<String>(name).ok().flatten();
        if let Some(given) = given.map(|values| values.cloned().map(Value::String)) {
            let values: Vec<Value> = given.collect();
            options.insert(
                name.to_owned(),
                if name == "exec" { values.into_iter().next().unwrap_or_default() } else { values.into() },
            );
        }
    }
    flags::write(matches, &mut options);
    let [has_port, has_host] = ["port", "host"].map(|name| options.get(name).is_some_and(|given| !given.is_null()));
    let named = |error: ClusterError| match error {
        ClusterError::OptionInvalid { name, expected, got } => {
            Failed::usage(format!("{} must be {expected}; got {got}", flags::origin(&name, matches, file.as_deref())))
        }
        other => Failed::usage(file.as_ref().map_or_else(|| other.to_string(), |file| format!("{file}: {other}"))),
    };
    let mut config = Config::from_json(&Value::Object(options)).map_err(named)?;
    if !has_port {
        config.ports.clear();
    }
    if !has_host {
        config.host = "::".to_owned();
    }
    config.pids = absolute(&config.pids)?;
    config.logs = absolute(&config.logs)?;
    config.cwd = config.cwd.as_deref().map(absolute).transpose()?;
    if let Some(cwd) = config.cwd.as_deref().filter(|cwd| !cwd.is_dir()) {
        let origin = flags::origin("cwd", matches, file.as_deref());
        return Err(Failed::usage(format!("{origin} must be a directory; got {}", cwd.display())));
    }
    Ok(config)
}

/// One of the directories, for a command that wants nothing else: whatever else is wrong with the options is no hindrance.
pub fn directory(option: &str, matches: &ArgMatches) -> Result<PathBuf, Failed> {
    let mut given = Map::new();
    flags::write(matches, &mut given);
    if !given.contains_key(option) {
        given = read_file(matches)?.1;
    }
    let named = given.get(option).and_then(Value::as_str).unwrap_or(option);
    absolute(Path::new(named))
}

/// A path from the working directory.
pub fn absolute(path: &Path) -> Result<PathBuf, Failed> {
    std::path::absolute(path).map_err(|error| Failed::new(format!("{}: {error}", path.display())))
}

fn read_file(matches: &ArgMatches) -> Result<(Option<String>, Map<String, Value>), Failed> {
    let named = matches.get_one::<String>("config");
    let name = named.map_or(FILE, String::as_str);
    let text = match fs::read_to_string(name) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound && named.is_none() => return Ok((None, Map::new())),
        Err(error) => return Err(Failed::usage(format!("cannot read the configuration file {name}: {error}"))),
    };
    match serde_json::from_str(&text) {
        Ok(Value::Object(options)) => Ok((Some(name.to_owned()), options)),
        Ok(_) => Err(Failed::usage(format!("the configuration file {name} must hold a JSON object"))),
        Err(error) => Err(Failed::usage(format!("the configuration file {name} is no JSON: {error}"))),
    }
}
