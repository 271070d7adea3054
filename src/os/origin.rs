//! How this process was started: its command, its environment and its directory, as they were then.
//!
//! A script may have changed all three since. What `environ` of the kernel shows is what the process
//! began with.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// How a process was started.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// The program as it was named, and its arguments.
    pub args: Vec<OsString>,
    /// The whole environment.
    pub env: BTreeMap<OsString, OsString>,
    /// The working directory, by the name that the user gave it.
    pub cwd: PathBuf,
}

impl Origin {
    /// Reads it. Call it early: the working directory may change. A process that gave itself another
    /// title has lost its arguments.
    pub fn read() -> Self {
        let read = |name: &str| std::fs::read(format!("/proc/self/{name}")).unwrap_or_default();
        let cwd = working_directory_by_symlink().or_else(|| env::current_dir().ok());
        Self {
            args: split(&read("cmdline")).collect(),
            env: split(&read("environ")).filter_map(variable).collect(),
            cwd: cwd.unwrap_or_else(|| PathBuf::from("/")),
        }
    }
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
/// deploy, the symlink's new target is meant. The shell sets it in `PWD`, which is believed only if
/// it leads to the present directory.
pub fn working_directory_by_symlink() -> Option<PathBuf> {
    let named = PathBuf::from(env::var_os("PWD")?);
    let real = env::current_dir().ok()?;
    let leads_here = named.is_absolute()
        && named != real
        && named.canonicalize().is_ok_and(|found| found == real);
    leads_here.then_some(named)
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
    fn this_process_is_found() {
        let origin = Origin::read();
        assert_eq!(origin.args.len(), env::args_os().count());
        assert!(origin.env.contains_key(std::ffi::OsStr::new("PATH")));
        assert_eq!(origin.cwd.canonicalize().unwrap(), env::current_dir().unwrap());
    }
}
