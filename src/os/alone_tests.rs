//! For tests that end the process, or lower its limit of descriptors.

use std::mem::ManuallyDrop;
use std::os::fd::AsRawFd;
use std::process::{Command, Output};
use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Runs `test`, whose full name is `name`, in a process of its own. `None`: this is that process.
pub(crate) fn apart(name: &str, test: impl FnOnce()) -> Option<Output> {
    const ALONE: &str = "CLUSTER2_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        test();
        return None;
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--test-threads=1", "--nocapture"]).env(ALONE, "1");
    Some(command.output().unwrap())
}

/// As `apart`, for a test that passes or fails there.
pub(crate) fn alone(name: &str, test: impl FnOnce()) {
    let Some(output) = apart(name, test) else { return };
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Sets the limit so that `free` more descriptors can be opened. All numbers below them are in use
/// from the first call on.
pub(crate) fn leave(free: usize) {
    static FIRST: OnceLock<i32> = OnceLock::new();
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    let first = FIRST.get_or_init(|| {
        let open = std::fs::read_dir("/proc/self/fd").unwrap();
        let highest = open
            .map(|entry| entry.unwrap().file_name().to_str().unwrap().parse::<i32>().unwrap())
            .max();
        let highest = highest.unwrap();
        let null = ManuallyDrop::new(std::fs::File::open("/dev/null").unwrap());
        let copy = || rustix::io::fcntl_dupfd_cloexec(&*null, 0).map(ManuallyDrop::new).unwrap();
        while copy().as_raw_fd() <= highest {}
        highest + 2
    });
    setrlimit(Resource::Nofile, Rlimit { current: Some(*first as u64 + free as u64), maximum })
        .unwrap();
}
