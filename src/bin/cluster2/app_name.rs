//! Names of apps.

/// Whether an app can have this name: it is that of a directory in `pids` and `logs`, and no flag.
pub(crate) fn is_valid(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(['-', '.'])
        && !name.contains(|c: char| c == '/' || c.is_control())
}
