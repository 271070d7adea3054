//! The options of `start`, from flags, environment, configuration file and defaults.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use clap::ArgMatches;
use cluster2_rs::config::{Config, Port};
use cluster2_rs::error::ClusterError;
use cluster2_rs::os::origin::working_directory_by_symlink;
use serde_json::{Map, Value};

use super::{Failed, apps, flags, unique_keys};

/// The configuration file in the working directory, unless another one is named.
const FILE: &str = "cluster2.json";

/// Returns the options, checked, with the script as `exec` and its arguments as `args`. Directories
/// are absolute. There is no port where none was given: the script's own count. Errors name what
/// the user wrote: the flag, the variable, or the option in the file.
pub(crate) fn read(matches: &ArgMatches) -> Result<Config, Failed> {
    let (file, mut options) = read_file(matches)?;
    let given = if is_app(matches)? { &["args"][..] } else { &["exec", "args"] };
    for name in given.iter().copied() {
        let given = matches.try_get_many::<String>(name).ok().flatten();
        if let Some(given) = given.map(|values| values.cloned().map(Value::String)) {
            let values: Vec<Value> = given.collect();
            options.insert(
                name.to_owned(),
                if name == "exec" {
                    values.into_iter().next().unwrap_or_default()
                } else {
                    values.into()
                },
            );
        }
    }
    flags::write(matches, &mut options);
    let [has_port, has_host, has_timeout] = ["port", "host", "timeout"]
        .map(|name| options.get(name).is_some_and(|given| !given.is_null()));
    let named = |error: ClusterError| match error {
        ClusterError::OptionInvalid { name, expected, got } => Failed::usage(format!(
            "{} must be {expected}; got {got}",
            flags::origin(&name, matches, file.as_deref())
        )),
        other => Failed::usage(
            file.as_ref()
                .map_or_else(|| other.message(), |file| format!("{file}: {}", other.message())),
        ),
    };
    let mut config = Config::from_json(&Value::Object(options)).map_err(named)?;
    if !has_port {
        config.ports.clear();
    }
    if !has_host {
        config.host = "::".to_owned();
    }
    // A server that does not know of cluster2 ends connections as it would alone.
    if !has_timeout {
        config.timeout = 0;
    }
    for (option, port) in config
        .ports
        .iter()
        .map(|port| ("port", port))
        .chain(config.mon_port.iter().map(|port| ("monPort", port)))
    {
        check_port(option, port, matches, file.as_deref())?;
    }
    config.pids = logical(&config.pids);
    config.logs = logical(&config.logs);
    config.cwd = config.cwd.as_deref().map(logical).or_else(working_directory_by_symlink);
    if let Some(cwd) = config.cwd.as_deref().filter(|cwd| !cwd.is_dir()) {
        let origin = flags::origin("cwd", matches, file.as_deref());
        return Err(Failed::usage(format!("{origin} must be a directory; got {}", cwd.display())));
    }
    Ok(config)
}

/// Rejects a mistyped port, which would be taken for the path of a socket.
fn check_port(
    option: &str,
    port: &Port,
    matches: &ArgMatches,
    file: Option<&str>,
) -> Result<(), Failed> {
    match port {
        Port::Unix(path) if !path.contains('/') && !port.is_inherited() => {
            Err(Failed::usage(format!(
                "{} must be a port (0 to 65535), or the path of a unix socket, with a '/' in it; \
                got {path}",
                flags::origin(option, matches, file)
            )))
        }
        _ => Ok(()),
    }
}

/// Returns the directory `option`, for a command that needs no other option: errors in others do
/// not matter.
pub(crate) fn directory(option: &str, matches: &ArgMatches) -> Result<PathBuf, Failed> {
    let mut given = Map::new();
    flags::write(matches, &mut given);
    if !given.contains_key(option) {
        given = read_file(matches)?.1;
    }
    let named = given.get(option).and_then(Value::as_str).unwrap_or(option);
    if named.is_empty() {
        let origin = flags::origin(option, matches, None);
        return Err(Failed::usage(format!("{origin} must be a text that is not empty; got \"\"")));
    }
    absolute(Path::new(named))
}

/// Makes a path absolute, by the name that the user gave the working directory.
pub(crate) fn logical(path: &Path) -> PathBuf {
    let base =
        working_directory_by_symlink().or_else(|| env::current_dir().ok()).unwrap_or_default();
    // Without `.` components.
    base.join(path).components().collect()
}

/// Makes a path absolute.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, Failed> {
    std::path::absolute(path).map_err(|error| Failed::new(format!("{}: {error}", path.display())))
}

/// The configuration file as it was at the start.
pub(crate) struct File {
    name: String,
    text: Option<String>,
}

impl File {
    /// Reads the file.
    pub(crate) fn now(matches: &ArgMatches) -> Self {
        let name = matches.get_one::<String>("config").map_or(FILE, String::as_str).to_owned();
        Self { text: fs::read_to_string(&name).ok(), name }
    }

    /// The name that the user gave.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether the file has another text now.
    pub(crate) fn has_changed(&self) -> bool {
        fs::read_to_string(&self.name).ok() != self.text
    }
}

/// Returns the names of the apps in the file, if it is of several and none is named.
pub(crate) fn unnamed_apps(matches: &ArgMatches) -> Result<Vec<String>, Failed> {
    let (_, options) = raw_file(matches)?;
    Ok(if apps::named(matches, &options).is_some() { Vec::new() } else { apps::all(&options) })
}

/// Whether what stands first in place of a script or a file is an app of the file.
pub(crate) fn is_app(matches: &ArgMatches) -> Result<bool, Failed> {
    Ok(apps::by_place(matches, &raw_file(matches)?.1).is_some())
}

/// Returns the file's name, if there is one, and its options: of the app that is named, where it is
/// of several.
fn read_file(matches: &ArgMatches) -> Result<(Option<String>, Map<String, Value>), Failed> {
    let (file, options) = raw_file(matches)?;
    let name = apps::named(matches, &options);
    let options = apps::choose(options, name.as_deref(), file.as_deref().unwrap_or(FILE))?;
    Ok((file, options))
}

/// As `read_file`, with all apps of the file.
fn raw_file(matches: &ArgMatches) -> Result<(Option<String>, Map<String, Value>), Failed> {
    let (file, options) = parse_file(matches)?;
    apps::verify(matches, &options, file.as_deref().unwrap_or(FILE))?;
    Ok((file, options))
}

fn parse_file(matches: &ArgMatches) -> Result<(Option<String>, Map<String, Value>), Failed> {
    let named = matches.get_one::<String>("config");
    let name = named.map_or(FILE, String::as_str);
    let text = match fs::read_to_string(name) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound && named.is_none() => {
            return Ok((None, Map::new()));
        }
        Err(error) => {
            return Err(Failed::usage(format!(
                "cannot read the configuration file {name}: {error}"
            )));
        }
    };
    match unique_keys::parse(&text) {
        Ok(Value::Object(options)) => Ok((Some(name.to_owned()), options)),
        Ok(_) => {
            Err(Failed::usage(format!("the configuration file {name} must hold a JSON object")))
        }
        Err(error) if error.is_data() => {
            Err(Failed::usage(format!("the configuration file {name}: {error}")))
        }
        Err(error) => {
            Err(Failed::usage(format!("the configuration file {name} is not valid JSON: {error}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_line(line: &str) -> Result<Config, Failed> {
        let matches = super::super::args::command().get_matches_from(line.split(' '));
        read(matches.subcommand().unwrap().1)
    }

    #[test]
    fn a_script_that_does_not_know_of_cluster2_runs_as_it_would_alone() {
        let config = read_line("cluster2 start server.js").unwrap();
        assert_eq!(
            (config.timeout, config.ports.as_slice(), config.host.as_str()),
            (0, &[][..], "::")
        );
        let config =
            read_line("cluster2 start server.js --timeout 5 --port 1,2 --host ::1").unwrap();
        assert_eq!(
            (config.timeout, config.ports.as_slice()),
            (5, &[Port::Tcp(1), Port::Tcp(2)][..])
        );
        assert_eq!(config.host, "::1");
    }

    #[test]
    fn a_mistyped_port_is_not_taken_for_a_socket() {
        let message = |line: &str| read_line(line).unwrap_err().text;
        assert!(
            message("cluster2 start x.js --port 300O")
                .starts_with("--port must be a port (0 to 65535), or the path")
        );
        assert!(
            message("cluster2 start x.js --mon-port o").starts_with("--mon-port must be a port")
        );
        assert!(read_line("cluster2 start x.js --port ./app.sock").is_ok());
    }
}
