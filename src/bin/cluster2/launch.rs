//! How workers of a script are started that knows nothing of us: Node, our preload, the script.

use std::collections::BTreeMap;
use std::env;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ArgMatches;
use cluster2_rs::config::{Config, Port};
use cluster2_rs::runtime::Launch;
use cluster2_rs::runtime::status::About;

use super::settings::absolute;
use super::{Failed, flags};

/// The npm package's directory, as its `bin/cluster2` says it.
const PACKAGE: &str = "CLUSTER2_PACKAGE";
/// What is loaded into each worker before the script.
const PRELOAD: &str = "lib/preload.js";
/// What Node adds to a script's name where it is not found.
const ENDINGS: &[&str] = &["", ".js", ".cjs", ".mjs", ".ts", ".json", ".node"];

/// How workers are started, and what the monitor shows of it.
pub fn launch(config: &Config, matches: &ArgMatches) -> Result<(Launch, About), Failed> {
    let script = script(config)?;
    let node = node(matches)?;
    let preload = preload()?;
    let version = version(&node)?;
    let mut flags = vec!["--require".to_owned(), text(&preload)?];
    flags.extend(config.exec_argv.iter().flatten().cloned());
    let mut args = vec![text(&script)?];
    args.extend(config.args.iter().flatten().cloned());
    let cwd = config.cwd.as_deref().map(text).transpose()?;
    let launch = Launch { program: text(&node)?, flags, args, env: environment(config), cwd, plain: true };
    Ok((launch, About { node: version, root: root(&script) }))
}

fn text(path: impl AsRef<Path>) -> Result<String, Failed> {
    let path = path.as_ref();
    path.to_str().map(str::to_owned).ok_or_else(|| Failed::usage(format!("{}: the path is not UTF-8", path.display())))
}

fn script(config: &Config) -> Result<PathBuf, Failed> {
    let Some(script) = &config.exec else {
        return Err(Failed::usage("which script? Name it after `start`, or as `exec` in the configuration file"));
    };
    let path = absolute(Path::new(script))?;
    let exists = |ending: &&str| {
        let mut name = path.clone().into_os_string();
        name.push(ending);
        Path::new(&name).exists()
    };
    // Node itself finds it; here only so that a wrong name is told at once, and not by as many workers as there are.
    if !ENDINGS.iter().any(exists) {
        return Err(Failed::usage(format!("there is no script {}", path.display())));
    }
    Ok(path)
}

fn node(matches: &ArgMatches) -> Result<PathBuf, Failed> {
    let is_program =
        |path: &PathBuf| path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0);
    match matches.get_one::<String>("node") {
        Some(path) => Some(absolute(Path::new(path))?)
            .filter(is_program)
            .ok_or_else(|| Failed::usage(format!("--node, CLUSTER2_NODE: there is no program {path}"))),
        None => env::split_paths(&env::var_os("PATH").unwrap_or_default())
            .map(|directory| directory.join("node"))
            .find(is_program)
            .and_then(|path| absolute(&path).ok())
            .ok_or_else(|| Failed::start("node is not found in PATH; name it by --node")),
    }
}

/// Also tells whether it is Node at all.
fn version(node: &Path) -> Result<String, Failed> {
    let failed = |reason: String| Failed::start(format!("cannot run {}: {reason}", node.display()));
    let output = Command::new(node).arg("--version").env_remove("NODE_OPTIONS").output();
    let output = output.map_err(|error| failed(error.to_string()))?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if version.starts_with('v') { Ok(version) } else { Err(failed(format!("its version is {version:?}"))) }
}

fn preload() -> Result<PathBuf, Failed> {
    let program = env::current_exe().unwrap_or_default();
    let named = env::var_os(PACKAGE).map(PathBuf::from);
    // Beside this program, in a sibling of its package, or in the clone that it was built in.
    let around = program.ancestors().skip(1).take(3).flat_map(|above| [above.to_owned(), above.join("cluster2-rs")]);
    let found = named.into_iter().chain(around).map(|package| package.join(PRELOAD)).find(|path| path.exists());
    let missing =
        || Failed::start(format!("{PRELOAD} of the package cluster2-rs is not found; {PACKAGE} names its directory"));
    found.and_then(|path| path.canonicalize().ok()).ok_or_else(missing)
}

/// The workers' environment: ours without what is meant for this program, and what was asked for.
fn environment(config: &Config) -> BTreeMap<String, String> {
    let ours: Vec<String> = flags::variables().chain([PACKAGE.to_owned()]).collect();
    let inherited = env::vars_os().filter(|(name, _)| !ours.iter().any(|ours| name == ours.as_str()));
    let mut variables: BTreeMap<String, String> =
        inherited.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect();
    if let [Port::Tcp(port @ 1..)] = config.ports[..] {
        variables.insert("PORT".to_owned(), port.to_string());
    }
    variables.extend(config.env.clone());
    variables
}

/// The nearest directory with a package.json, as npm has it.
fn root(script: &Path) -> PathBuf {
    let directory = script.parent().unwrap_or(script);
    directory.ancestors().find(|above| above.join("package.json").exists()).unwrap_or(directory).to_owned()
}
