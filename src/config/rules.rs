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
}
