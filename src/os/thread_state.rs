//! What a thread of this process does in the kernel, as `/proc` shows it.

use std::os::unix::fs::FileExt;

use super::process::Identity;

/// The state of a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ThreadState {
    /// It runs, or waits for a processor.
    Running,
    /// It is in a system call.
    InCall(SystemCall),
    /// It waits, and the kernel does not tell for what.
    Waiting,
}

/// A system call under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SystemCall {
    number: i64,
    arguments: [u64; 2],
}

/// A child process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Child {
    pub(crate) pid: u32,
    pub(crate) command: String,
}

/// The longest path or command line, bytes.
const MAX_TEXT: usize = 256;

/// Returns the id of this thread.
pub(crate) fn this_thread() -> i32 {
    nix::unistd::gettid().as_raw()
}

/// Returns what a thread of this process does. `None`: it is gone, or no descriptor is free.
pub(crate) fn of(thread: i32) -> Option<ThreadState> {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/self/task/{thread}/{file}"));
    let stat = read("stat").ok()?;
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next())?;
    if state == 'R' {
        return Some(ThreadState::Running);
    }
    let Ok(call) = read("syscall") else { return Some(ThreadState::Waiting) };
    if call.trim_end() == "running" {
        return Some(ThreadState::Running);
    }
    let mut words = call.split_ascii_whitespace();
    let number = words.next().and_then(|number| number.parse().ok()).unwrap_or(-1);
    let mut argument = || {
        let word = words.next()?.strip_prefix("0x")?;
        u64::from_str_radix(word, 16).ok()
    };
    let arguments = [argument().unwrap_or(0), argument().unwrap_or(0)];
    // Negative: it was interrupted, by a page fault for example.
    let in_call = ThreadState::InCall(SystemCall { number, arguments });
    Some(if number < 0 { ThreadState::Waiting } else { in_call })
}

/// The system calls by name in which threads of Node may hang.
macro_rules! names {
    ($number:expr, $($name:ident => $text:literal),+ $(,)?) => {
        match $number {
            $(libc::$name => $text.to_owned(),)+
            other => format!("number {other}"),
        }
    };
}

impl SystemCall {
    /// Returns its name, `read`.
    pub(crate) fn name(&self) -> String {
        #[cfg(target_arch = "x86_64")]
        match self.number {
            libc::SYS_open => return "open".to_owned(),
            libc::SYS_poll => return "poll".to_owned(),
            libc::SYS_epoll_wait => return "epoll_wait".to_owned(),
            _ => {}
        }
        names!(self.number,
            SYS_read => "read", SYS_pread64 => "pread64", SYS_readv => "readv",
            SYS_preadv => "preadv", SYS_write => "write", SYS_pwrite64 => "pwrite64",
            SYS_writev => "writev", SYS_openat => "openat", SYS_close => "close",
            SYS_epoll_pwait => "epoll_pwait", SYS_ppoll => "ppoll", SYS_wait4 => "wait4",
            SYS_waitid => "waitid", SYS_connect => "connect", SYS_accept4 => "accept4",
            SYS_recvfrom => "recvfrom", SYS_recvmsg => "recvmsg", SYS_sendto => "sendto",
            SYS_sendmsg => "sendmsg", SYS_flock => "flock", SYS_fcntl => "fcntl",
            SYS_fsync => "fsync", SYS_fdatasync => "fdatasync", SYS_futex => "futex",
            SYS_nanosleep => "nanosleep", SYS_clock_nanosleep => "clock_nanosleep",
            SYS_getdents64 => "getdents64", SYS_newfstatat => "newfstatat", SYS_statx => "statx",
            SYS_copy_file_range => "copy_file_range", SYS_sendfile => "sendfile",
            SYS_unlinkat => "unlinkat", SYS_renameat2 => "renameat2", SYS_ioctl => "ioctl",
        )
    }

    /// Whether it waits for events of the epoll descriptor `epoll`, or of any with `None`.
    pub(crate) fn polls(&self, epoll: Option<i32>) -> bool {
        let is_one = self.name() == "epoll_wait" || self.number == libc::SYS_epoll_pwait;
        is_one && epoll.is_none_or(|epoll| self.arguments[0] == epoll as u64)
    }

    /// Whether a signal does no harm to it: the kernel restarts it, or libuv handles its end.
    pub(crate) fn bears_signals(&self) -> bool {
        let bearing = [
            "read",
            "pread64",
            "openat",
            "open",
            "epoll_wait",
            "epoll_pwait",
            "wait4",
            "waitid",
            "flock",
            "fsync",
            "fdatasync",
        ];
        bearing.contains(&&*self.name())
    }

    /// Whether it waits for a child process.
    pub(crate) fn waits_for_child(&self) -> bool {
        [libc::SYS_wait4, libc::SYS_waitid].contains(&self.number)
    }

    /// Returns the file that it is about.
    pub(crate) fn file(&self) -> Option<String> {
        match self.name().as_str() {
            "openat" => string_at(self.arguments[1]),
            "open" => string_at(self.arguments[0]),
            "read" | "pread64" | "readv" | "preadv" | "write" | "pwrite64" | "writev" | "flock"
            | "fcntl" | "fsync" | "fdatasync" | "getdents64" | "connect" | "recvfrom"
            | "recvmsg" | "sendto" | "sendmsg" => {
                let path = format!("/proc/self/fd/{}", self.arguments[0]);
                let target = std::fs::read_link(path).ok()?;
                Some(shorten(&target.to_string_lossy()))
            }
            _ => None,
        }
    }
}

/// Reads the string at an address of this process, which may be freed meanwhile.
fn string_at(address: u64) -> Option<String> {
    let memory = std::fs::File::open("/proc/self/mem").ok()?;
    let mut bytes = [0; MAX_TEXT];
    // Up to the end of the page: what follows need not be mapped.
    let page = rustix::param::page_size() as u64;
    let room = ((page - address % page) as usize).min(MAX_TEXT);
    let mut length = memory.read_at(&mut bytes[..room], address).ok()?;
    if length == room && room < MAX_TEXT && !bytes[..room].contains(&0) {
        length += memory.read_at(&mut bytes[room..], address + room as u64).unwrap_or(0);
    }
    let text = bytes[..length].split(|byte| *byte == 0).next()?;
    Some(String::from_utf8_lossy(text).into_owned())
}

/// Returns the child that a thread of this process started last.
pub(crate) fn last_child(thread: i32) -> Option<Child> {
    let children = std::fs::read_to_string(format!("/proc/self/task/{thread}/children")).ok()?;
    // Those of threads that have ended are in the list too.
    let started = |pid: &u32| Identity::of(*pid).map_or(0, |child| child.started);
    let pids = children.split_ascii_whitespace().filter_map(|pid| pid.parse().ok());
    let pid: u32 = pids.max_by_key(|pid| (started(pid), *pid))?;
    let command = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let words = String::from_utf8_lossy(&command).replace('\0', " ");
    Some(Child { pid, command: shorten(words.trim_end()) })
}

fn shorten(text: &str) -> String {
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::net::UnixStream;
    use std::sync::mpsc;
    use std::time::{Duration, Instant};

    /// What a thread does once it runs `body`.
    fn seen(body: impl FnOnce() + Send + 'static, wanted: fn(&ThreadState) -> bool) -> ThreadState {
        let (sender, thread) = mpsc::channel();
        std::thread::spawn(move || {
            sender.send(this_thread()).unwrap();
            body();
        });
        let thread = thread.recv().unwrap();
        let end = Instant::now() + Duration::from_secs(5);
        loop {
            match of(thread) {
                Some(state) if wanted(&state) => return state,
                state => assert!(Instant::now() < end, "{state:?}"),
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_thread_that_reads_is_in_that_call_of_that_file() {
        let (mut reader, _writer) = UnixStream::pair().unwrap();
        let read = move || drop(reader.read(&mut [0; 1]));
        let state = seen(read, |state| matches!(state, ThreadState::InCall(_)));
        let ThreadState::InCall(call) = state else { unreachable!() };
        assert!(["read", "recvfrom"].contains(&&*call.name()), "{call:?}");
        assert!(call.file().unwrap().starts_with("socket:["));
        assert!(!call.polls(None) && !call.waits_for_child());
    }

    #[test]
    fn a_thread_that_computes_runs() {
        let spin = || {
            let end = Instant::now() + Duration::from_secs(2);
            while Instant::now() < end {}
        };
        assert_eq!(seen(spin, |state| *state == ThreadState::Running), ThreadState::Running);
    }

    #[test]
    fn a_string_is_read_from_memory_and_a_wrong_address_is_no_fault() {
        let text = c"some/where";
        assert_eq!(string_at(text.as_ptr() as u64).as_deref(), Some("some/where"));
        assert_eq!(string_at(16), None);
    }

    #[test]
    fn the_child_of_a_thread_is_named_with_its_command_line() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = child.id();
        // The command line is there a moment after the process is, and children of other threads
        // that have ended are in the list too.
        let end = Instant::now() + Duration::from_secs(5);
        let expected = Child { pid, command: "sleep 60".to_owned() };
        let mut found = None;
        while found.as_ref() != Some(&expected) && Instant::now() < end {
            found = last_child(this_thread());
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(found, Some(expected));
    }
}
