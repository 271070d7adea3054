//! How workers are started for a script that does not know of cluster2: Node, the preload, the
//! script.

use std::collections::BTreeMap;
use std::env;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clap::ArgMatches;
use cluster2_rs::config::{Config, Port, app_root};
use cluster2_rs::master::{AppInfo, Launch};
use cluster2_rs::os::handover::VARIABLE;
use cluster2_rs::os::origin::CALLED_AS;

use super::console::Console;
use super::settings::{absolute, logical};
use super::{Failed, flags};

/// The variable with the npm package's directory, which its `bin/cluster2` sets.
const PACKAGE: &str = "CLUSTER2_PACKAGE";
/// The module that is loaded into each worker before the script.
const PRELOAD: &str = "lib/preload.js";
/// What Node tries to add to a script's name.
const EXTENSIONS: &[&str] = &["", ".js", ".cjs", ".mjs", ".ts", ".json", ".node"];

/// How long Node may take to print its version.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How often the answer is polled.
const POLL_EVERY: Duration = Duration::from_millis(2);

/// Returns how workers are started, and what the monitor shows of the app.
pub(crate) fn launch(
    config: &Config,
    matches: &ArgMatches,
    console: &Console,
) -> Result<(Launch, AppInfo), Failed> {
    let script = script(config)?;
    let node = node(matches)?;
    let preload = preload()?;
    let (version, node) = identify(&node)?;
    let mut args = vec![text(&script)?];
    args.extend(config.args.iter().flatten().cloned());
    let cwd = config.cwd.as_deref().map(text).transpose()?;
    let launch = Launch {
        program: text(&node)?,
        preload: text(&preload)?,
        flags: config.exec_argv.clone().unwrap_or_default(),
        args,
        env: environment(config, console),
        cwd,
        plain: true,
        command: Vec::new(),
        command_flags: 0,
        holder: Some("/proc/self/exe".to_owned()),
    };
    let root = app_root(script.parent().unwrap_or(&script));
    Ok((launch, AppInfo { node: version, root, script: Some(script) }))
}

fn text(path: impl AsRef<Path>) -> Result<String, Failed> {
    let path = path.as_ref();
    path.to_str()
        .map(str::to_owned)
        .ok_or_else(|| Failed::usage(format!("{}: the path is not UTF-8", path.display())))
}

/// Returns the script. Fails if there is none.
pub(crate) fn script(config: &Config) -> Result<PathBuf, Failed> {
    let Some(script) = &config.exec else {
        return Err(Failed::usage(
            "which script? Name it after `start`, or as `exec` in the configuration file",
        ));
    };
    let path = logical(Path::new(script));
    let exists = |extension: &&str| {
        let mut name = path.clone().into_os_string();
        name.push(extension);
        Path::new(&name).exists()
    };
    // Node finds the script itself. This check reports a wrong name at once, instead of each
    // worker.
    if !EXTENSIONS.iter().any(exists) {
        return Err(Failed::usage(format!("there is no script {}", path.display())));
    }
    Ok(path)
}

/// Finds Node: as `--node` says, or in `PATH`.
pub(crate) fn node(matches: &ArgMatches) -> Result<PathBuf, Failed> {
    let is_program = |path: &PathBuf| {
        path.metadata()
            .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    match matches.get_one::<String>("node") {
        Some(path) => Some(absolute(Path::new(path))?).filter(is_program).ok_or_else(|| {
            Failed::usage(format!("--node, CLUSTER2_NODE: there is no program {path}"))
        }),
        None => env::split_paths(&env::var_os("PATH").unwrap_or_default())
            .map(|directory| directory.join("node"))
            .find(is_program)
            .and_then(|path| absolute(&path).ok())
            .ok_or_else(|| Failed::start("node is not found in PATH; name it by --node")),
    }
}

/// Finds Node as [`node`] does, for longer than this call: where what was found is a script that
/// calls it, such as Yarn's in a temporary directory, that is Node itself. Not so for a symlink,
/// which may lead to another version one day.
pub(crate) fn lasting_node(matches: &ArgMatches) -> Result<PathBuf, Failed> {
    let found = node(matches)?;
    let mut head = [0; 2];
    let is_script = File::open(&found)
        .and_then(|mut file| file.read_exact(&mut head))
        .is_ok_and(|()| head == *b"#!");
    if is_script { Ok(identify(&found)?.1) } else { Ok(found) }
}

/// Returns the version of a Node and the path of its program: what was found may be a script that
/// only calls it, and would get the signals that are meant for it. Fails if it is not Node.
fn identify(node: &Path) -> Result<(String, PathBuf), Failed> {
    let failed = |reason: String| Failed::start(format!("cannot run {}: {reason}", node.display()));
    let mut question = Command::new(node);
    question.args(["-p", "process.version + '\\n' + process.execPath"]).env_remove("NODE_OPTIONS");
    let mut child = question
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let asked = Instant::now();
    while child.try_wait()?.is_none() {
        if asked.elapsed() > ANSWER_WITHIN {
            child.kill()?;
            child.wait()?;
            return Err(failed(format!("it does not answer within {} s", ANSWER_WITHIN.as_secs())));
        }
        std::thread::sleep(POLL_EVERY);
    }
    let output = child.wait_with_output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    match text.trim_end().split_once('\n') {
        Some((version, path)) if version.starts_with('v') => Ok((version.to_owned(), path.into())),
        _ => Err(failed("it is not Node".to_owned())),
    }
}

fn preload() -> Result<PathBuf, Failed> {
    let program = env::current_exe().unwrap_or_default();
    let named = env::var_os(PACKAGE).map(PathBuf::from);
    // The package of this program, a sibling of its package, or the clone that it was built in.
    let around = program
        .ancestors()
        .skip(1)
        .take(3)
        .flat_map(|above| [above.to_owned(), above.join("cluster2-rs")]);
    let found = named
        .into_iter()
        .chain(around)
        .map(|package| package.join(PRELOAD))
        .find(|path| path.exists());
    let missing = || {
        Failed::start(format!(
            "{PRELOAD} of the package cluster2-rs is not found; {PACKAGE} names its directory"
        ))
    };
    found.and_then(|path| path.canonicalize().ok()).ok_or_else(missing)
}

/// Returns the workers' environment: this process's without what is meant for this program, and the
/// option `env`.
fn environment(config: &Config, console: &Console) -> BTreeMap<String, String> {
    let ours = [PACKAGE, CALLED_AS, VARIABLE].map(str::to_owned);
    let ours: Vec<String> = flags::variables().chain(ours).collect();
    let inherited =
        env::vars_os().filter(|(name, _)| !ours.iter().any(|ours| name == ours.as_str()));
    let mut variables = BTreeMap::new();
    for (name, value) in inherited {
        match (name.clone().into_string(), value.into_string()) {
            (Ok(name), Ok(value)) => drop(variables.insert(name, value)),
            _ => console.note(format!(
                "workers do not get the variable {}: it is not UTF-8",
                name.display()
            )),
        }
    }
    if let [Port::Tcp(port @ 1..)] = config.ports[..] {
        variables.insert("PORT".to_owned(), port.to_string());
    }
    variables.extend(config.env.clone());
    variables
}
