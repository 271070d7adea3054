//! How this process was started: its command, its environment and its directory, as they were then.
//!
//! A script may have changed all three since. What `environ` of the kernel shows is what the
//! process began with.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Where `bin/cluster2` says by which path it was called.
pub const CALLED_AS: &str = "CLUSTER2_CALLED_AS";

/// How a process was started.
#[derive(Debug, Clone, Default)]
pub struct ProcessOrigin {
    /// The program as it was named, and its arguments.
    pub args: Vec<OsString>,
    /// The whole environment. `PWD` names the working directory if that has several names.
    pub env: BTreeMap<OsString, OsString>,
    /// The working directory, by the name that the user gave it.
    pub cwd: PathBuf,
}

impl ProcessOrigin {
    /// Reads it. Call it early: the working directory may change. A process that gave itself
    /// another title has lost its arguments.
    pub fn read() -> Self {
        let named = working_directory_by_symlink();
        let mut env: BTreeMap<_, _> = split(&read("environ")).filter_map(variable).collect();
        env.extend(named.as_ref().map(|named| ("PWD".into(), named.into())));
        let cwd = named.or_else(|| env::current_dir().ok());
        Self { args: arguments(), env, cwd: cwd.unwrap_or_else(|| PathBuf::from("/")) }
    }
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(format!("/proc/self/{name}")).unwrap_or_default()
}

fn arguments() -> Vec<OsString> {
    split(&read("cmdline")).collect()
}

/// Returns the texts that end with NUL.
fn split(texts: &[u8]) -> impl Iterator<Item = OsString> {
    let texts = texts.strip_suffix(b"\0").unwrap_or(texts);
    let is_empty = texts.is_empty();
    texts
        .split(|byte| *byte == 0)
        .filter(move |_| !is_empty)
        .map(|text| OsString::from_vec(text.to_vec()))
}

fn variable(text: OsString) -> Option<(OsString, OsString)> {
    let mut name = text.into_vec();
    // A name may begin with `=`, and is not empty.
    let at = 1 + name.get(1..)?.iter().position(|byte| *byte == b'=')?;
    let value = name.split_off(at + 1);
    name.truncate(at);
    Some((OsString::from_vec(name), OsString::from_vec(value)))
}

/// Returns the working directory by the name that the user gave it, if a symlink is in it: after a
/// deploy, the symlink's new target is meant. Read once, at the first call.
///
/// A shell sets it in `PWD`, which is believed only if it leads to the present directory. Under a
/// service manager, which sets none, a path of the command names it, if it goes through a symlink
/// that leads there.
pub fn working_directory_by_symlink() -> Option<PathBuf> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    let find = || {
        let real = env::current_dir().ok()?;
        let named = [CALLED_AS].into_iter().filter_map(env::var_os).chain(arguments());
        name_of(&real, env::var_os("PWD").map(PathBuf::from), named.map(PathBuf::from))
    };
    FOUND.get_or_init(find).clone()
}

/// The name of the directory `real`, unless that is its only one.
fn name_of(
    real: &Path,
    pwd: Option<PathBuf>,
    named: impl Iterator<Item = PathBuf>,
) -> Option<PathBuf> {
    let leads_here = |path: &Path| path.canonicalize().is_ok_and(|found| found == real);
    let through = |path: PathBuf| path.ancestors().map(Path::to_owned).collect::<Vec<_>>();
    let folders = named.filter(|path| path.is_absolute()).flat_map(through);
    let pwd = pwd.filter(|pwd| pwd.is_absolute());
    pwd.into_iter().chain(folders).find(|folder| folder != real && leads_here(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_variables_are_told_apart() {
        let texts: Vec<_> = split(b"node\0\0app.js\0").collect();
        assert_eq!(texts, ["node", "", "app.js"]);
        assert_eq!(split(b"").count(), 0);
        let known = |text: &str| variable(text.into());
        assert_eq!(known("A=b=c"), Some(("A".into(), "b=c".into())));
        assert_eq!(known("=C:=x"), Some(("=C:".into(), "x".into())));
        assert_eq!(known("nothing"), None);
        assert_eq!(known(""), None);
    }

    #[test]
    fn a_directory_is_named_by_the_shell_or_else_by_a_path_of_the_command() {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().canonicalize().unwrap();
        let real = folder.join("7");
        std::fs::create_dir(&real).unwrap();
        let link = folder.join("current");
        std::os::unix::fs::symlink("7", &link).unwrap();
        let named = |pwd: Option<&Path>, path: &Path| {
            name_of(&real, pwd.map(Path::to_owned), [path.to_owned()].into_iter())
        };
        let nothing = Path::new("app.js");
        assert_eq!(named(Some(&link), nothing), Some(link.clone()));
        assert_eq!([named(None, nothing), named(Some(&real), nothing)], [None, None]);
        // `sh` sets it where nobody else has.
        assert_eq!(named(Some(&real), &link.join("app.js")), Some(link.clone()));
        assert_eq!(named(None, &link.join("node_modules/.bin/cluster2")), Some(link.clone()));
        assert_eq!(named(Some(&folder), &link.join("app.js")), Some(link.clone()), "stale");
        assert_eq!(named(Some(Path::new("current")), &real.join("app.js")), None);
    }

    #[test]
    fn this_process_is_found() {
        let origin = ProcessOrigin::read();
        assert_eq!(origin.args.len(), env::args_os().count());
        assert!(origin.env.contains_key(std::ffi::OsStr::new("PATH")));
        assert_eq!(origin.cwd.canonicalize().unwrap(), env::current_dir().unwrap());
    }
}
