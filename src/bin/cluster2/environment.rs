//! `cluster2 env`: the environment with which a worker was started.

use std::collections::BTreeMap;
use std::fs;

use clap::ArgMatches;
use cluster2_rs::protocol::control::Command;
use serde_json::Value;

use super::line::printable;
use super::{Failed, commands, not_running, print, settings};

/// Who a worker is, as JSON.
const IDENTITY: &str = "CLUSTER2_WORKER";
/// What makes a process a worker; its script does not see these.
const OURS: [&str; 4] =
    [IDENTITY, "NODE_CHANNEL_FD", "NODE_CHANNEL_SERIALIZATION_MODE", "NODE_UNIQUE_ID"];

/// Runs the command. Values are only shown of variables that are named, or on demand: they may be
/// secret.
pub(crate) fn environment(matches: &ArgMatches) -> Result<(), Failed> {
    let pids = settings::directory("pids", matches)?;
    let pid = matches.get_one::<u32>("pid").copied().unwrap_or_default();
    let status = commands::ask(&pids, &Command::Status)?;
    if status["running"] != true {
        return Err(match status["reason"].as_str() {
            Some(reason) => Failed::not_running(reason),
            None => not_running(&pids).into(),
        });
    }
    let mut workers = status["workers"].as_array().into_iter().flatten();
    if !workers.any(|worker| worker["pid"] == pid) {
        return Err(Failed::new(format!("{pid} is not a worker of this cluster")));
    }
    let bytes = fs::read(format!("/proc/{pid}/environ"))
        .map_err(|error| Failed::new(format!("cannot read the environment of {pid}: {error}")))?;
    let variables = variables(&bytes);
    let line = |(name, value): (&String, &String)| format!("{name}={}\n", printable(value));
    let named: Vec<&String> = matches.get_many("names").into_iter().flatten().collect();
    if let Some(missing) = named.iter().find(|name| !variables.contains_key(**name)) {
        return Err(Failed::new(format!("worker {pid} was started without {missing}")));
    }
    let text: String = match (named.is_empty(), matches.get_flag("values")) {
        (true, false) => variables.keys().map(|name| format!("{name}\n")).collect(),
        (true, true) => variables.iter().map(line).collect(),
        (false, _) => named.into_iter().map(|name| line((name, &variables[name]))).collect(),
    };
    print(text.as_bytes())
}

/// The variables that the script of a worker sees, of those with which the process was started.
fn variables(bytes: &[u8]) -> BTreeMap<String, String> {
    let mut variables: BTreeMap<String, String> = bytes
        .split(|byte| *byte == 0)
        .filter_map(|variable| {
            let text = String::from_utf8_lossy(variable);
            text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()))
        })
        .collect();
    let identity =
        variables.get(IDENTITY).and_then(|text| serde_json::from_str::<Value>(text).ok());
    // Our own preload stands before those of the script.
    if let Some(Value::String(options)) = identity.map(|mut own| own["nodeOptions"].take()) {
        variables.insert("NODE_OPTIONS".to_owned(), options);
    }
    variables.retain(|name, _| !OURS.contains(&name.as_str()));
    variables
}
