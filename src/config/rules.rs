//! Rules that both embedders keep, the addon's JavaScript and the command line.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// A second SIGINT stops the cluster at once if it comes later than this after the first. An
/// earlier one is the first delivered twice: npm passes on what the terminal sends too.
pub const SECOND_INTERRUPT_AFTER: Duration = Duration::from_millis(500);

/// Returns the root of the app whose script is in `directory`: the nearest directory upwards with a
/// `package.json`, as npm finds it; `directory` itself if there is none.
pub fn app_root(directory: &Path) -> PathBuf {
    directory
        .ancestors()
        .find(|above| above.join("package.json").exists())
        .unwrap_or(directory)
        .to_owned()
}

/// Returns what people call the app whose root is `root`: the name in its `package.json`, or where
/// there is none that of the directory.
pub fn app_name(root: &Path) -> String {
    package_name(root).unwrap_or_else(|| {
        root.file_name().unwrap_or(root.as_os_str()).to_string_lossy().into_owned()
    })
}

fn package_name(root: &Path) -> Option<String> {
    let text = std::fs::read(root.join("package.json")).ok()?;
    let package: serde_json::Value = serde_json::from_slice(&text).ok()?;
    package["name"].as_str().filter(|name| !name.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_reaches_up_to_the_nearest_package() {
        let temp = tempfile::tempdir().unwrap();
        let inner = temp.path().join("package/src/deep");
        std::fs::create_dir_all(&inner).unwrap();
        assert_eq!(app_root(&inner), inner);
        std::fs::write(temp.path().join("package/package.json"), "{}").unwrap();
        assert_eq!(app_root(&inner), temp.path().join("package"));
    }

    #[test]
    fn an_app_is_called_as_its_package_or_its_directory() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("shop");
        std::fs::create_dir(&root).unwrap();
        assert_eq!(app_name(&root), "shop");
        for (text, name) in
            [("{", "shop"), (r#"{"name":""}"#, "shop"), (r#"{"name":"@a/api"}"#, "@a/api")]
        {
            std::fs::write(root.join("package.json"), text).unwrap();
            assert_eq!(app_name(&root), name, "{text}");
        }
        assert_eq!(app_name(Path::new("/")), "/");
    }
}
