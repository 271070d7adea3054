//! The identity of a worker process, and how it ended.

/// Identifies one worker process; a master never uses one twice. Also Node's `cluster.worker.id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub u32);

/// How a process ended, as the kernel reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// The signal of this name ended it.
    Signal(&'static str),
}

impl Exit {
    /// Describes it for messages: `exited with code 1`, `was ended by SIGKILL`.
    pub fn describe(self) -> String {
        match self {
            Self::Code(code) => format!("exited with code {code}"),
            Self::Signal(signal) => format!("was ended by {signal}"),
        }
    }
}
