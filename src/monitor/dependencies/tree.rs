//! The tree of an app's packages.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;

use super::manifest::{Manifest, read_manifest, requirements, resolve, text};

/// The depth of the tree.
const MAX_DEPTH: usize = 64;
/// The number of packages in the tree.
const MAX_PACKAGES: usize = 20_000;

/// A package, as npm shows it. A missing one has no `version`, but the one `required`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Package {
    /// The app's own name. Other packages are named by their dependents.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) required: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) missing: bool,
    /// The directory of an app without a `package.json`.
    #[serde(skip)]
    pub(crate) no_package: Option<String>,
    /// The reasons why the tree is not complete.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) problems: Vec<String>,
    /// By name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) dependencies: BTreeMap<String, Package>,
}

/// A package of the tree while it is read.
struct Node {
    name: String,
    package: Package,
    children: Vec<usize>,
}

/// A package whose dependencies are still unread.
struct Unread {
    node: usize,
    depth: usize,
    directory: PathBuf,
    manifest: Manifest,
}

/// Reads the tree of the app in `root`, as far as possible until `deadline`.
pub(super) fn read(root: &Path, deadline: Instant) -> Package {
    let directory = root.canonicalize().unwrap_or_else(|_| root.into());
    let manifest = match read_manifest(&directory) {
        Ok(manifest) => manifest,
        Err(problem) => {
            let is_missing = !directory.join("package.json").exists();
            let no_package = is_missing.then(|| directory.display().to_string());
            return Package { problems: vec![problem], no_package, ..Package::default() };
        }
    };
    let app = Package {
        name: text(&manifest, "name"),
        version: text(&manifest, "version"),
        ..Package::default()
    };
    let mut nodes = vec![Node { name: String::new(), package: app, children: Vec::new() }];
    let mut shown = HashSet::from([directory.clone()]);
    let mut queue = VecDeque::from([Unread { node: 0, depth: 0, directory, manifest }]);
    let mut problem = None;
    while let Some(parent) = queue.pop_front() {
        for (name, required) in requirements(&parent.manifest, parent.depth == 0) {
            if nodes.len() >= MAX_PACKAGES || Instant::now() > deadline {
                problem = Some("not all packages are shown: there are too many".to_owned());
                break;
            }
            let found = resolve(&parent.directory, &name);
            if found.is_none() && required.optional {
                continue;
            }
            let node = nodes.len();
            nodes[parent.node].children.push(node);
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
            let depth = parent.depth + 1;
            if depth < MAX_DEPTH && shown.insert(directory.clone()) {
                queue.push_back(Unread { node, depth, directory, manifest });
            }
        }
    }
    let mut app = assemble(&mut nodes);
    app.problems.extend(problem);
    app
}

/// Turns the nodes into a tree. Children come after their parents, so backwards each package is
/// complete before its parent takes it.
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

#[cfg(test)]
mod tests {
    use super::super::manifest::MAX_MANIFEST;
    use super::*;
    use serde_json::{Value, json};
    use std::time::Duration;

    const READ_WITHIN: Duration = Duration::from_secs(8);

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
        let manifest = json!({
            "name": "app", "version": "1.2.3",
            "dependencies": dependencies, "devDependencies": { "@s/dev": "*" },
        });
        install(temp.path(), manifest);
        install(
            &modules.join("a"),
            json!({
                "version": "1.0.0",
                "dependencies": { "b": "2" }, "devDependencies": { "never": "1" },
            }),
        );
        install(&modules.join("b"), json!({ "version": "1.0.0" }));
        install(
            &modules.join("a/node_modules/b"),
            json!({
                "version": "2.0.0",
                "dependencies": { "c": "*", "a": "*" }, "optionalDependencies": { "absent": "*" },
            }),
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
                    "@s/dev": { "version": "4.0.0", "dependencies": {
                        "a": { "version": "1.0.0" }, "b": { "version": "1.0.0" },
                    } },
                    "a": { "version": "1.0.0", "dependencies": {
                        "b": { "version": "2.0.0", "dependencies": {
                            "a": { "version": "1.0.0" }, "c": { "version": "3.0.0" },
                        } },
                    } },
                    "gone": { "required": "^9", "missing": true },
                },
            })
        );
    }

    #[test]
    fn linked_packages_find_the_packages_beside_their_real_directory() {
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
    fn invalid_manifests_count_as_missing_packages() {
        let temp = tempfile::tempdir().unwrap();
        install(&temp.path().join("outside"), json!({ "version": "6.6.6" }));
        let root = temp.path().join("app");
        let names = json!({
            "../../outside": "1", "/etc": "1", "@x": "1", "@/y": 1, "a/b": "1", "": "1",
            "..": "1", "bad": [], "big": "1",
        });
        install(
            &root,
            json!({
                "name": 5, "dependencies": names,
                "optionalDependencies": ["x"], "devDependencies": null,
            }),
        );
        let bad = root.join("node_modules/bad");
        install(&bad, json!([]));
        install(
            &root.join("node_modules/big"),
            json!({ "version": "x".repeat(MAX_MANIFEST as usize) }),
        );
        let tree = tree(&root);
        let all = tree["dependencies"].as_object().unwrap();
        assert_eq!(all.len(), 9);
        assert!(all.values().all(|package| package["missing"] == true), "{tree}");
        assert!(tree_of_nothing(&temp.path().join("none")).contains("cannot read"));
        std::fs::write(bad.join("package.json"), "[".repeat(100_000)).unwrap();
        assert!(tree_of_nothing(&bad).contains("is not a valid package.json"));
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
        assert_eq!(depth, MAX_DEPTH);
        let late = read(temp.path(), Instant::now() - Duration::from_secs(1));
        assert!(late.dependencies.is_empty() && late.problems.len() == 1);
    }
}
