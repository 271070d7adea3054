//! The cluster's options as flags and environment variables: one table, from which help, man page, completions and reading come.

use clap::builder::FalseyValueParser;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches};
use serde_json::{Map, Value, json};

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A value; the option's own check says which are right.
    Value,
    /// A value, or `off`, which stands for `false`.
    ValueOrOff,
    /// Values, separated by commas or given by several flags.
    List,
    /// Values as they are, given by several flags; not from the environment.
    Verbatim,
    /// `NAME=VALUE`, given by several flags; not from the environment.
    Pairs,
    /// Nothing: the option becomes this.
    Switch(bool),
}

/// One option.
#[derive(Debug)]
pub struct Flag {
    /// As in `new Cluster(options)`, with its parent (`ecv.path`).
    pub option: &'static str,
    /// Without the dashes.
    pub flag: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// Name of the value in the help.
    pub value: &'static str,
    /// In words.
    pub help: &'static str,
}

const fn flag(
    option: &'static str,
    flag: &'static str,
    kind: Kind,
    value: &'static str,
    help: &'static str,
) -> Flag {
    Flag { option, flag, kind, value, help }
}

/// Where a cluster is found; for every command.
pub const PIDS: Flag = flag(
    "pids",
    "pids",
    Kind::Value,
    "DIR",
    "Directory of pid files and the control socket [default: pids]",
);
/// Where logs are found; also for the command `logs`.
pub const LOGS: Flag =
    flag("logs", "logs", Kind::Value, "DIR", "Directory of logs [default: logs]");

/// All others, for `start`.
pub const OPTIONS: &[Flag] = &[
    flag(
        "noWorkers",
        "workers",
        Kind::Value,
        "N",
        "Number of workers [default: processors this process may use]",
    ),
    flag(
        "port",
        "port",
        Kind::List,
        "PORT",
        "TCP port or path of a unix socket that is bound before any worker starts; a single port is the workers' PORT too [default: whatever the script listens on]",
    ),
    flag(
        "host",
        "host",
        Kind::Value,
        "ADDRESS",
        "Where --port is bound, also for a script that asks for all addresses; by default all, IPv6 and IPv4",
    ),
    flag(
        "balance",
        "balance",
        Kind::Value,
        "POLICY",
        "Who gets a connection: least-connections, round-robin, ip-hash or kernel [default: least-connections]",
    ),
    flag(
        "timeout",
        "timeout",
        Kind::Value,
        "MS",
        "A connection on which nothing moved for so long is ended, also while the server is still busy with it; by default none is",
    ),
    flag(
        "output",
        "output",
        Kind::Value,
        "WHERE",
        "Workers' output: inherit, prefix (each line with slot and pid) or files (in the logs directory) [default: inherit]",
    ),
    flag(
        "monPort",
        "mon-port",
        Kind::ValueOrOff,
        "PORT",
        "Where the monitor listens, or off [default: 3001]",
    ),
    flag(
        "monHost",
        "mon-host",
        Kind::Value,
        "ADDRESS",
        "Where the monitor is bound [default: 127.0.0.1]",
    ),
    flag("monPath", "mon-path", Kind::Value, "PATH", "Path of the monitor's page [default: /]"),
    flag("ecv", "no-ecv", Kind::Switch(false), "", "Serve no health check"),
    flag("ecv.path", "ecv-path", Kind::Value, "PATH", "Path of the health check [default: /ecv]"),
    flag("ecv.monitor", "ecv-monitor", Kind::Value, "PATH|URL", "Asked before answering healthy"),
    flag(
        "ecv.control",
        "ecv-control",
        Kind::Switch(true),
        "",
        "Serve POST <path>/disable and <path>/enable",
    ),
    flag(
        "ecv.timeout",
        "ecv-timeout",
        Kind::Value,
        "MS",
        "Bound of one probe of the monitor [default: 5000]",
    ),
    flag(
        "ecv.token",
        "ecv-token",
        Kind::Value,
        "TOKEN",
        "Who switches needs it; rather by the environment, where others do not see it",
    ),
    flag("ecv.allow", "ecv-allow", Kind::List, "CIDR", "Addresses from which alone one may switch"),
    flag(
        "connThreshold",
        "conn-threshold",
        Kind::Value,
        "N",
        "Recycle a worker that served so many connections",
    ),
    flag(
        "uptimeThreshold",
        "uptime-threshold",
        Kind::Value,
        "SECONDS",
        "Recycle a worker that has been ready for so long",
    ),
    flag(
        "memThreshold",
        "mem-threshold",
        Kind::Value,
        "BYTES",
        "Recycle a worker with so much resident memory",
    ),
    flag(
        "moveIdle",
        "no-move-idle",
        Kind::Switch(false),
        "",
        "End idle connections of a worker that leaves, for apps that keep state by connection, as with the PROXY protocol",
    ),
    flag(
        "startTimeout",
        "start-timeout",
        Kind::Value,
        "MS",
        "A worker that does not listen within this time is killed [default: 30000]",
    ),
    flag(
        "minReadyTime",
        "min-ready-time",
        Kind::Value,
        "MS",
        "How long a worker of new code has to live before a reload trusts it [default: 1000]",
    ),
    flag(
        "shutdownTimeout",
        "shutdown-timeout",
        Kind::Value,
        "MS",
        "A worker whose drain takes longer is killed [default: 30000]",
    ),
    flag(
        "shutdownDelay",
        "shutdown-delay",
        Kind::Value,
        "MS",
        "From the request of a shutdown until no new connection is accepted [default: 0]",
    ),
    flag(
        "maxHeartbeatDelay",
        "max-heartbeat-delay",
        Kind::Value,
        "MS",
        "A worker whose event loop did not turn for so long is killed and replaced [default: 30000]",
    ),
    flag(
        "execArgv",
        "exec-argv",
        Kind::Verbatim,
        "FLAG",
        "A flag of Node's own for workers, such as --exec-argv=--enable-source-maps",
    ),
    flag("env", "env", Kind::Pairs, "NAME=VALUE", "A variable added to the workers' environment"),
    flag("cwd", "cwd", Kind::Value, "DIR", "Working directory of workers"),
];

impl Flag {
    /// The environment variable, if it may come from there.
    pub fn variable(&self) -> Option<String> {
        let from_there = !matches!(self.kind, Kind::Verbatim | Kind::Pairs);
        from_there.then(|| format!("CLUSTER2_{}", self.flag.to_uppercase().replace('-', "_")))
    }

    /// The argument.
    pub fn arg(&self) -> Arg {
        let arg = Arg::new(self.option).long(self.flag).help(self.help).hide_env_values(true);
        let arg = match self.kind {
            Kind::Switch(_) => {
                arg.action(ArgAction::SetTrue).value_parser(FalseyValueParser::new())
            }
            Kind::List => arg.value_name(self.value).action(ArgAction::Append).value_delimiter(','),
            Kind::Verbatim => {
                arg.value_name(self.value).action(ArgAction::Append).allow_hyphen_values(true)
            }
            Kind::Pairs => arg.value_name(self.value).action(ArgAction::Append).value_parser(pair),
            Kind::Value | Kind::ValueOrOff => arg.value_name(self.value).action(ArgAction::Set),
        };
        match self.variable() {
            Some(variable) => arg.env(variable),
            None => arg,
        }
    }

    /// Writes what was given, if anything was, into `options`, an object as `new Cluster` takes it.
    fn write(&self, matches: &ArgMatches, options: &mut Map<String, Value>) {
        if !is_given(matches, self.option) {
            return;
        }
        let texts =
            || matches.try_get_many::<String>(self.option).ok().flatten().into_iter().flatten();
        // What Kubernetes puts there where a service is called cluster2.
        let is_variable = matches.value_source(self.option) == Some(ValueSource::EnvVariable);
        if self.option == "port" && is_variable && texts().any(|text| text.starts_with("tcp://")) {
            return;
        }
        let value = match self.kind {
            Kind::Switch(_) if !matches.get_flag(self.option) => return,
            Kind::Switch(becomes) => json!(becomes),
            Kind::Value => json!(texts().next()),
            Kind::ValueOrOff => texts()
                .next()
                .map_or(Value::Null, |text| if text == "off" { json!(false) } else { json!(text) }),
            Kind::List | Kind::Verbatim => json!(texts().collect::<Vec<_>>()),
            Kind::Pairs => {
                let pairs = matches
                    .get_many::<(String, String)>(self.option)
                    .into_iter()
                    .flatten()
                    .cloned();
                Value::Object(pairs.map(|(name, value)| (name, json!(value))).collect())
            }
        };
        match self.option.split_once('.') {
            None => drop(options.insert(self.option.to_owned(), value)),
            Some((parent, name)) => {
                let parent = options.entry(parent).or_insert_with(|| json!({}));
                // Switched off by another flag, it stays off.
                if *parent == json!(true) {
                    *parent = json!({});
                }
                if let Value::Object(parent) = parent {
                    parent.insert(name.to_owned(), value);
                }
            }
        }
    }
}

/// The names of all environment variables that are read here.
pub fn variables() -> impl Iterator<Item = String> {
    let others = ["CLUSTER2_CONFIG", "CLUSTER2_NODE"].into_iter().map(str::to_owned);
    all().filter_map(Flag::variable).chain(others)
}

fn is_given(matches: &ArgMatches, id: &str) -> bool {
    let source = matches.try_contains_id(id).is_ok().then(|| matches.value_source(id)).flatten();
    matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable))
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

fn all() -> impl Iterator<Item = &'static Flag> {
    [&PIDS, &LOGS].into_iter().chain(OPTIONS)
}

/// Writes all that was given by flags or environment variables over `options`.
pub fn write(matches: &ArgMatches, options: &mut Map<String, Value>) {
    all().for_each(|flag| flag.write(matches, options));
}

/// What the user wrote where the option came from: a flag, a variable, or the option itself in `file`.
pub fn origin(option: &str, matches: &ArgMatches, file: Option<&str>) -> String {
    let flag = all().find(|flag| flag.option == option);
    let source = flag.filter(|_| is_given(matches, option)).and_then(|flag| {
        match matches.value_source(option) {
            Some(ValueSource::EnvVariable) => flag.variable(),
            _ => Some(format!("--{}", flag.flag)),
        }
    });
    source.unwrap_or_else(|| {
        file.map_or_else(
            || format!("option '{option}'"),
            |file| format!("option '{option}' in {file}"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster2_rs::config::Config;

    /// What no flag is for: it is the script or what follows it, is not needed, or needs JavaScript.
    const WITHOUT: &[&str] = &["cluster", "exec", "args", "heartbeatInterval", "ecv.validator"];

    fn defaults() -> Map<String, Value> {
        let Value::Object(mut defaults) =
            serde_json::to_value(Config::from_json(&json!({})).unwrap()).unwrap()
        else {
            unreachable!("a config is an object")
        };
        let port = defaults.remove("ports").unwrap()[0].clone();
        defaults.insert("port".to_owned(), port);
        if let Some(Value::Object(ecv)) = defaults.get("ecv").cloned() {
            defaults.extend(ecv.into_iter().map(|(name, value)| (format!("ecv.{name}"), value)));
        }
        defaults
    }

    #[test]
    fn every_option_has_a_flag_and_no_other_has() {
        let defaults = defaults();
        for option in defaults.keys().filter(|option| !WITHOUT.contains(&option.as_str())) {
            assert!(all().any(|flag| flag.option == *option), "{option} has no flag");
        }
        for flag in all() {
            assert!(defaults.contains_key(flag.option), "--{} is for no option", flag.flag);
        }
    }

    #[test]
    fn the_help_names_the_defaults_that_the_options_have() {
        let defaults = defaults();
        for flag in all().filter(|flag| !["noWorkers", "port"].contains(&flag.option)) {
            let Some((_, named)) = flag.help.split_once("[default: ") else { continue };
            let real = match &defaults[flag.option] {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            assert_eq!(named.trim_end_matches(']'), real, "--{}", flag.flag);
        }
    }
}
