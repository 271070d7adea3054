//! For tests that lower the limit of descriptors, which belongs to the whole process.

use std::mem::ManuallyDrop;
use std::os::fd::AsRawFd;
use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Runs `test`, whose full name is `name`, in a process in which nobody else opens descriptors.
pub fn alone(name: &str, test: impl FnOnce()) {
    const ALONE: &str = "CLUSTER2_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return test();
    }
    let program = std::env::current_exe().unwrap();
    let output = std::process::Command::new(program)
        .args(["--exact", name, "--test-threads=1", "--nocapture"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

/// Makes the limit such that so many more can be opened. All numbers below them are in use from the first call on.
pub fn leave(free: usize) {
    static FIRST: OnceLock<i32> = OnceLock::new();
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    let first = FIRST.get_or_init(|| {
        let open = std::fs::read_dir("/proc/self/fd").unwrap();
        let highest = open.map(|entry| entry.unwrap().file_name().to_str().unwrap().parse::<i32>().unwrap()).max();
        let highest = highest.unwrap();
        let null = ManuallyDrop::new(std::fs::File::open("/dev/null").unwrap());
        let copy = || rustix::io::fcntl_dupfd_cloexec(&*null, 0).map(ManuallyDrop::new).unwrap();
        while copy().as_raw_fd() <= highest {}
        highest + 2
    });
    setrlimit(Resource::Nofile, Rlimit { current: Some(*first as u64 + free as u64), maximum }).unwrap();
}
