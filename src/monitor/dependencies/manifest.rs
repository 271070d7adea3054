//! `package.json` files, and the packages that they ask for.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

/// The largest `package.json` that is read, bytes.
pub(super) const MAX_MANIFEST: u64 = 1 << 20;
/// The longest name of a package, as npm has it.
const MAX_NAME: usize = 214;

pub(super) type Manifest = Map<String, Value>;

/// What a dependent asks for.
pub(super) struct Requirement {
    pub(super) version: String,
    pub(super) optional: bool,
}

/// Returns what a package asks for, by name. Development dependencies count for the app alone.
pub(super) fn requirements(manifest: &Manifest, is_app: bool) -> BTreeMap<String, Requirement> {
    let kinds =
        [("devDependencies", false), ("dependencies", false), ("optionalDependencies", true)];
    let mut all = BTreeMap::new();
    for (kind, optional) in kinds.into_iter().skip(usize::from(!is_app)) {
        for (name, version) in manifest.get(kind).and_then(Value::as_object).into_iter().flatten() {
            let version = version.as_str().unwrap_or("*").to_owned();
            all.insert(name.clone(), Requirement { version, optional });
        }
    }
    all
}

/// Returns the directory and the manifest of the package `name`, as Node finds it for `dependent`.
pub(super) fn resolve(dependent: &Path, name: &str) -> Option<(PathBuf, Manifest)> {
    if !is_name(name) {
        return None;
    }
    // Node does not look into `node_modules/node_modules`.
    let parents = dependent.ancestors().filter(|parent| !parent.ends_with("node_modules"));
    parents.map(|parent| parent.join("node_modules").join(name)).find_map(|directory| {
        let manifest = read_manifest(&directory).ok()?;
        Some((directory.canonicalize().ok()?, manifest))
    })
}

/// Whether `name` is the name of a package, and not a path.
fn is_name(name: &str) -> bool {
    let parts: Vec<_> = name.split('/').collect();
    let scoped = parts.len() == 2 && name.starts_with('@');
    (parts.len() == 1 || scoped)
        && name.len() <= MAX_NAME
        && parts
            .iter()
            .all(|part| !part.is_empty() && !part.starts_with('.') && !part.contains(['\\', '\0']))
}

pub(super) fn read_manifest(directory: &Path) -> Result<Manifest, String> {
    let path = directory.join("package.json");
    let unreadable = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    // Opening a FIFO would wait.
    let found = std::fs::metadata(&path).map_err(unreadable)?;
    if !found.is_file() || found.len() > MAX_MANIFEST {
        return Err(format!("{} is not a file of at most {MAX_MANIFEST} bytes", path.display()));
    }
    let mut bytes = Vec::new();
    File::open(&path)
        .and_then(|file| file.take(MAX_MANIFEST).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    serde_json::from_slice(&bytes)
        .map_err(|error| format!("{} is not a valid package.json: {error}", path.display()))
}

/// Returns a field that is a string.
pub(super) fn text(manifest: &Manifest, name: &str) -> Option<String> {
    manifest.get(name).and_then(Value::as_str).map(str::to_owned)
}
