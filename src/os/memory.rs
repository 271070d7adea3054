//! Memory that is left: of the machine, and of the control groups of this process.

use std::fs;
use std::path::Path;

/// Returns how many bytes processes of this cluster can still take before the kernel takes them
/// from others, or ends one. `None`: the kernel does not say it.
pub(crate) fn available() -> Option<u64> {
    available_below(Path::new("/"))
}

fn available_below(root: &Path) -> Option<u64> {
    let machine = number_in(&root.join("proc/meminfo"), "MemAvailable:").map(|kib| kib * 1_024);
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let of_groups = groups.lines().filter_map(|line| left_in_groups(root, line));
    of_groups.chain(machine).min()
}

/// The least that a group has left, and those that contain it. `line`: of `/proc/self/cgroup`.
fn left_in_groups(root: &Path, line: &str) -> Option<u64> {
    let mut fields = line.splitn(3, ':');
    let (_, controllers, group) = (fields.next()?, fields.next()?, fields.next()?);
    let (mount, names): (_, [&str; 3]) = if controllers.is_empty() {
        ("sys/fs/cgroup", ["memory.max", "memory.current", "inactive_file"])
    } else if controllers.split(',').any(|name| name == "memory") {
        let names = ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"];
        ("sys/fs/cgroup/memory", names)
    } else {
        return None;
    };
    let mount = root.join(mount);
    let group = mount.join(group.trim_start_matches('/'));
    let groups = group.ancestors().take_while(|folder| folder.starts_with(&mount));
    groups.filter_map(|folder| left_in(folder, names)).min()
}

/// What one group has left. Pages of files that were not used lately can be dropped at once.
fn left_in(folder: &Path, [limit, usage, cache]: [&str; 3]) -> Option<u64> {
    let read = |name: &str| fs::read_to_string(folder.join(name)).ok()?.trim().parse::<u64>().ok();
    let cache = number_in(&folder.join("memory.stat"), cache).unwrap_or(0);
    Some(read(limit)?.saturating_sub(read(usage)?.saturating_sub(cache)))
}

/// The number behind a word at the beginning of a line.
fn number_in(file: &Path, word: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let mut lines = text.lines().map(str::split_ascii_whitespace);
    lines.find_map(|mut words| (words.next() == Some(word)).then(|| words.next()?.parse().ok())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, files: &[(&str, &str)]) {
        for (name, text) in files {
            let file = root.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
    }

    #[test]
    fn the_machine_counts_without_groups() {
        let temp = tempfile::tempdir().unwrap();
        assert_eq!(available_below(temp.path()), None);
        write(temp.path(), &[("proc/meminfo", "MemTotal: 9000 kB\nMemAvailable:    70 kB\n")]);
        assert_eq!(available_below(temp.path()), Some(70 * 1_024));
        assert!(available().is_some_and(|left| left > 0), "of this machine");
    }

    #[test]
    fn the_tightest_group_counts() {
        let temp = tempfile::tempdir().unwrap();
        write(
            temp.path(),
            &[
                ("proc/meminfo", "MemAvailable: 9000000 kB\n"),
                ("proc/self/cgroup", "0::/app.slice/web\n"),
                ("sys/fs/cgroup/app.slice/web/memory.max", "max\n"),
                ("sys/fs/cgroup/app.slice/web/memory.current", "500\n"),
                ("sys/fs/cgroup/app.slice/memory.max", "1000\n"),
                ("sys/fs/cgroup/app.slice/memory.current", "700\n"),
                ("sys/fs/cgroup/app.slice/memory.stat", "anon 9\ninactive_file 200\n"),
            ],
        );
        assert_eq!(available_below(temp.path()), Some(500));
        write(temp.path(), &[("sys/fs/cgroup/app.slice/memory.current", "5000\n")]);
        assert_eq!(available_below(temp.path()), Some(0));
    }

    #[test]
    fn groups_of_the_first_version_count_too() {
        let temp = tempfile::tempdir().unwrap();
        write(
            temp.path(),
            &[
                ("proc/meminfo", "MemAvailable: 9000000 kB\n"),
                // In a container the path is that of the machine, and its own group is the root.
                ("proc/self/cgroup", "4:cpu,cpuacct:/\n3:memory:/docker/1234\n"),
                ("sys/fs/cgroup/memory/memory.limit_in_bytes", "1000\n"),
                ("sys/fs/cgroup/memory/memory.usage_in_bytes", "900\n"),
                ("sys/fs/cgroup/memory/memory.stat", "total_inactive_file 50\n"),
            ],
        );
        assert_eq!(available_below(temp.path()), Some(150));
    }
}
