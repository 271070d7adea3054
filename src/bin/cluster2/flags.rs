//! The cluster's options as flags and environment variables: their definition and their values.

use clap::builder::FalseyValueParser;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, ValueHint};
use serde_json::{Map, Value, json};

use super::hinted::Hinted;
use super::options::{Flag, Kind, LOGS, OPTIONS, PIDS};

impl Flag {
    /// The environment variable that sets the option, if one does.
    pub(crate) fn variable(&self) -> Option<String> {
        let from_there = !matches!(self.kind, Kind::Verbatim | Kind::Pairs);
        from_there.then(|| format!("CLUSTER2_{}", self.flag.to_uppercase().replace('-', "_")))
    }

    /// The definition of the flag and its variable.
    pub(crate) fn arg(&self) -> Arg {
        let arg = Arg::new(self.option).long(self.flag).hide_env_values(true);
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
        let arg = match self.values() {
            [] => arg,
            values => arg.value_parser(Hinted(values)).hide_possible_values(true),
        };
        let arg = if self.value == "DIR" { arg.value_hint(ValueHint::DirPath) } else { arg };
        let arg = arg.help_heading(self.heading());
        let Some(line) = self.short_help() else {
            let arg = arg.help(self.help).hide_short_help(true);
            return match self.variable() {
                Some(variable) => arg.env(variable),
                None => arg,
            };
        };
        // clap would name the variable in the short help too, which fits a screen only without.
        match self.variable() {
            Some(variable) => {
                let long = format!("{}\n\n[env: {variable}]", self.help);
                arg.help(line).long_help(long).env(variable).hide_env(true)
            }
            None => arg.help(line).long_help(self.help),
        }
    }

    /// Writes a given value into `options`, an object as `new Cluster` takes it.
    fn write(&self, matches: &ArgMatches, options: &mut Map<String, Value>) {
        if !is_given(matches, self.option) {
            return;
        }
        let texts =
            || matches.try_get_many::<String>(self.option).ok().flatten().into_iter().flatten();
        // Kubernetes sets it to a URL where a service is called cluster2.
        let is_from_variable = matches.value_source(self.option) == Some(ValueSource::EnvVariable);
        if self.option == "port"
            && is_from_variable
            && texts().any(|text| text.starts_with("tcp://"))
        {
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
                // A parent that another flag switched off stays off.
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

/// Returns the names of all environment variables that are read.
pub(crate) fn variables() -> impl Iterator<Item = String> {
    let others = [
        "CLUSTER2_APP",
        "CLUSTER2_CONFIG",
        "CLUSTER2_LOG_FORMAT",
        "CLUSTER2_NODE",
        "CLUSTER2_ON_EVENT",
    ]
    .into_iter()
    .map(str::to_owned);
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

/// Overwrites `options` with what flags and environment variables give.
pub(crate) fn write(matches: &ArgMatches, options: &mut Map<String, Value>) {
    all().for_each(|flag| flag.write(matches, options));
}

/// Returns where an option came from: its flag, its variable, or the option itself in `file`.
pub(crate) fn origin(option: &str, matches: &ArgMatches, file: Option<&str>) -> String {
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

    /// Options without a flag: the script and its arguments, and what is not needed or needs
    /// JavaScript.
    const WITHOUT: &[&str] =
        &["cluster", "exec", "args", "heartbeatInterval", "ecv.validator", "overload"];

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
        // Off unless one of them is given.
        for limit in ["overload.waiting", "overload.delay"] {
            defaults.insert(limit.to_owned(), Value::Null);
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
