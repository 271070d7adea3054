//! `/deps`: what is installed of the app's dependencies, and in which versions, as `npm ls --json --all` says it.
//!
//! Read from the `package.json` files, which are found as Node finds packages: in `node_modules` beside the dependent and
//! upwards. Breadth first, so that a package is shown with its own dependencies where it is nearest to the app, and
//! without them everywhere else. The tree is bounded in depth, size and time; where it ends early it says so.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Map, Value};

use crate::monitor::respond::{Problem, blocking};
use crate::single_flight::SingleFlight;

/// How deep the tree is, and how many packages it has.
const DEPTH: usize = 64;
const NODES: usize = 20_000;
/// Size of a `package.json`.
const MANIFEST: u64 = 1 << 20;
/// Length of a package's name, as npm has it.
const NAME: usize = 214;
/// For how long a tree is shown before it is read again.
const FRESH: Duration = Duration::from_secs(10);
/// Time for reading a tree; less than a request waits for it.
const READ_WITHIN: Duration = Duration::from_secs(8);

/// A package, as npm shows it. Those that are missing have no version, but what was required.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Package {
    /// Its name; only the app's own, since the others are named by who depends on them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What the dependent asked for and did not get.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub required: Option<String>,
    /// Whether it is not installed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub missing: bool,
    /// Why the tree is not complete.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
    /// What it depends on, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub dependencies: BTreeMap<String, Package>,
}

/// A tree, and when it was read.
type Reading = (Instant, Arc<Package>);

/// The tree of an app, read at most once in a while however many ask.
pub struct Cache {
    root: PathBuf,
    last: Arc<Mutex<Option<Reading>>>,
    reading: SingleFlight<Result<Arc<Package>, Problem>>,
}

impl Cache {
    /// Of the app in `root`.
    pub fn new(root: PathBuf) -> Self {
        Self { root, last: Arc::default(), reading: SingleFlight::default() }
    }

    /// The tree. Who comes while it is being read waits for it.
    pub async fn tree(&self) -> Result<Arc<Package>, Problem> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((when, tree)) = last
            && when.elapsed() < FRESH
        {
            return Ok(tree);
        }
        let (root, last) = (self.root.clone(), Arc::clone(&self.last));
        let reading = self.reading.run(async move {
            let tree = Arc::new(blocking(move || read(&root, Instant::now() + READ_WITHIN)).await?);
            let read = Some((Instant::now(), Arc::clone(&tree)));
            *last.lock().unwrap_or_else(PoisonError::into_inner) = read;
            Ok(tree)
        });
        reading.await.unwrap_or_else(|| Err(Problem::internal("the reading was given up")))
    }
}

/// One place in the tree while it is read.
struct Node {
    name: String,
    package: Package,
    children: Vec<usize>,
}

/// The tree of the app in `root`, as far as it can be read until `deadline`.
pub fn read(root: &Path, deadline: Instant) -> Package {
    let directory = root.canonicalize().unwrap_or_else(|_| root.into());
    let manifest = match manifest(&directory) {
        Ok(manifest) => manifest,
        Err(problem) => return Package { problems: vec![problem], ..Package::default() },
    };
    let app = Package {
        name: text(&manifest, "name"),
        version: text(&manifest, "version"),
        ..Package::default()
    };
    let mut nodes = vec![Node { name: String::new(), package: app, children: Vec::new() }];
    let mut shown = HashSet::from([directory.clone()]);
    let mut queue = VecDeque::from([(0, 0, directory, manifest)]);
    let mut problem = None;
    while let Some((parent, depth, directory, manifest)) = queue.pop_front() {
        for (name, required) in dependencies(&manifest, depth == 0) {
            if nodes.len() >= NODES || Instant::now() > deadline {
                problem = Some("not all packages are shown: there are too many".to_owned());
                break;
            }
            let found = resolve(&directory, &name);
            if found.is_none() && required.optional {
                continue;
            }
            let index = nodes.len();
            nodes[parent].children.push(index);
            let Some((directory, manifest)) = found else {
                let package = Package {
                    required: Some(required.version),
                    missing: true,
                    ..Package::default()
                };
                nodes.push(Node { name, package, children: Vec::new() });
                continue;
            };
            let package = Package { version: text(&manifest, "version"), ..Package::default() };
            nodes.push(Node { name, package, children: Vec::new() });
            if depth + 1 < DEPTH && shown.insert(directory.clone()) {
                queue.push_back((index, depth + 1, directory, manifest));
            }
        }
    }
    let mut app = assemble(&mut nodes);
    app.problems.extend(problem);
    app
}

/// The nodes as a tree. Children come after their parents, so from the end each finds its own complete.
fn assemble(nodes: &mut [Node]) -> Package {
    for index in (0..nodes.len()).rev() {
        for child in std::mem::take(&mut nodes[index].children) {
            let name = std::mem::take(&mut nodes[child].name);
            let package = std::mem::take(&mut nodes[child].package);
            nodes[index].package.dependencies.insert(name, package);
        }
    }
    nodes.first_mut().map(|app| std::mem::take(&mut app.package)).unwrap_or_default()
}

struct Required {
    version: String,
    optional: bool,
}

/// What a package asks for, by name. What only serves its development counts for the app itself.
fn dependencies(manifest: &Map<String, Value>, is_app: bool) -> BTreeMap<String, Required> {
    let kinds =
        [("devDependencies", false), ("dependencies", false), ("optionalDependencies", true)];
    let mut all = BTreeMap::new();
    for (kind, optional) in kinds.into_iter().skip(usize::from(!is_app)) {
        for (name, version) in manifest.get(kind).and_then(Value::as_object).into_iter().flatten() {
            let version = version.as_str().unwrap_or("*").to_owned();
            all.insert(name.clone(), Required { version, optional });
        }
    }
    all
}

/// The directory and the manifest of the package `name`, as `dependent` would load it.
fn resolve(dependent: &Path, name: &str) -> Option<(PathBuf, Map<String, Value>)> {
    if !is_name(name) {
        return None;
    }
    // Node does not look into `node_modules/node_modules`.
    let places = dependent.ancestors().filter(|place| !place.ends_with("node_modules"));
    places.map(|place| place.join("node_modules").join(name)).find_map(|place| {
        let manifest = manifest(&place).ok()?;
        Some((place.canonicalize().ok()?, manifest))
    })
}

/// Whether it is the name of a package, and not a path to somewhere else.
fn is_name(name: &str) -> bool {
    let parts: Vec<_> = name.split('/').collect();
    let scoped = parts.len() == 2 && name.starts_with('@');
    (parts.len() == 1 || scoped)
        && name.len() <= NAME
        && parts
            .iter()
            .all(|part| !part.is_empty() && !part.starts_with('.') && !part.contains(['\\', '\0']))
}

fn manifest(directory: &Path) -> Result<Map<String, Value>, String> {
    let path = directory.join("package.json");
    let unreadable = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    // Opening a FIFO would wait.
    let found = std::fs::metadata(&path).map_err(unreadable)?;
    if !found.is_file() || found.len() > MANIFEST {
        return Err(format!("{} is no file of at most {MANIFEST} bytes", path.display()));
    }
    let mut bytes = Vec::new();
    File::open(&path)
        .and_then(|file| file.take(MANIFEST).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    serde_json::from_slice(&bytes)
        .map_err(|error| format!("{} is no package.json: {error}", path.display()))
}

fn text(manifest: &Map<String, Value>, name: &str) -> Option<String> {
    manifest.get(name).and_then(Value::as_str).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Writes a package, making its directory.
    fn install(directory: &Path, manifest: Value) {
        std::fs::create_dir_all(directory).unwrap();
        std::fs::write(directory.join("package.json"), manifest.to_string()).unwrap();
    }

    fn tree(root: &Path) -> Value {
        serde_json::to_value(read(root, Instant::now() + READ_WITHIN)).unwrap()
    }

    #[test]
    fn packages_are_found_as_node_finds_them() {
        let temp = tempfile::tempdir().unwrap();
        let modules = temp.path().join("node_modules");
        let dependencies = json!({ "a": "^1", "gone": "^9" });
        let manifest = json!({ "name": "app", "version": "1.2.3", "dependencies": dependencies, "devDependencies": { "@s/dev": "*" } });
        install(temp.path(), manifest);
        install(
            &modules.join("a"),
            json!({ "version": "1.0.0", "dependencies": { "b": "2" }, "devDependencies": { "never": "1" } }),
        );
        install(&modules.join("b"), json!({ "version": "1.0.0" }));
        install(
            &modules.join("a/node_modules/b"),
            json!({ "version": "2.0.0", "dependencies": { "c": "*", "a": "*" }, "optionalDependencies": { "absent": "*" } }),
        );
        install(&modules.join("c"), json!({ "version": "3.0.0" }));
        install(
            &modules.join("@s/dev"),
            json!({ "version": "4.0.0", "dependencies": { "a": "*", "b": "*" } }),
        );
        assert_eq!(
            tree(temp.path()),
            json!({
                "name": "app", "version": "1.2.3",
                "dependencies": {
                    "@s/dev": { "version": "4.0.0", "dependencies": { "a": { "version": "1.0.0" }, "b": { "version": "1.0.0" } } },
                    "a": { "version": "1.0.0", "dependencies": {
                        "b": { "version": "2.0.0", "dependencies": { "a": { "version": "1.0.0" }, "c": { "version": "3.0.0" } } },
                    } },
                    "gone": { "required": "^9", "missing": true },
                },
            })
        );
    }

    #[test]
    fn linked_packages_find_what_lies_beside_their_real_place() {
        let temp = tempfile::tempdir().unwrap();
        let store = temp.path().join("node_modules/.store/a/node_modules");
        install(temp.path(), json!({ "dependencies": { "a": "1" } }));
        install(&store.join("a"), json!({ "version": "1.0.0", "dependencies": { "b": "1" } }));
        install(&store.join("b"), json!({ "version": "1.1.0" }));
        std::os::unix::fs::symlink(".store/a/node_modules/a", temp.path().join("node_modules/a"))
            .unwrap();
        let expected =
            json!({ "a": { "version": "1.0.0", "dependencies": { "b": { "version": "1.1.0" } } } });
        assert_eq!(tree(temp.path())["dependencies"], expected);
    }

    #[test]
    fn nonsense_in_a_manifest_harms_nobody() {
        let temp = tempfile::tempdir().unwrap();
        install(&temp.path().join("outside"), json!({ "version": "6.6.6" }));
        let root = temp.path().join("app");
        let names = json!({ "../../outside": "1", "/etc": "1", "@x": "1", "@/y": 1, "a/b": "1", "": "1", "..": "1", "bad": [], "big": "1" });
        install(
            &root,
            json!({ "name": 5, "dependencies": names, "optionalDependencies": ["x"], "devDependencies": null }),
        );
        let bad = root.join("node_modules/bad");
        install(&bad, json!([]));
        install(
            &root.join("node_modules/big"),
            json!({ "version": "x".repeat(MANIFEST as usize) }),
        );
        let tree = tree(&root);
        let all = tree["dependencies"].as_object().unwrap();
        assert_eq!(all.len(), 9);
        assert!(all.values().all(|package| package["missing"] == true), "{tree}");
        assert!(tree_of_nothing(&temp.path().join("none")).contains("cannot read"));
        std::fs::write(bad.join("package.json"), "[".repeat(100_000)).unwrap();
        assert!(tree_of_nothing(&bad).contains("is no package.json"));
    }

    fn tree_of_nothing(root: &Path) -> String {
        tree(root)["problems"][0].as_str().unwrap().to_owned()
    }

    #[test]
    fn a_long_chain_and_a_deadline_end_the_tree() {
        let temp = tempfile::tempdir().unwrap();
        for index in 0..100 {
            let directory = if index == 0 {
                temp.path().into()
            } else {
                temp.path().join(format!("node_modules/p{index}"))
            };
            install(
                &directory,
                json!({ "version": "1.0.0", "dependencies": { format!("p{}", index + 1): "1" } }),
            );
        }
        let whole = tree(temp.path());
        let mut depth = 0;
        let mut package = &whole;
        while let Some(next) =
            package["dependencies"].as_object().and_then(|all| all.values().next())
        {
            (package, depth) = (next, depth + 1);
        }
        assert_eq!(depth, DEPTH);
        let late = read(temp.path(), Instant::now() - Duration::from_secs(1));
        assert!(late.dependencies.is_empty() && late.problems.len() == 1);
    }
}
