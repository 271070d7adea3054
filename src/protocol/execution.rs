//! What a worker's JavaScript thread executes: the master asks, the worker's watch thread answers.
//!
//! Both travel as JSON on a socket pair of their own, because a worker that is stuck reads no
//! orders. An answer comes in one or two parts: what the watch sees from outside, if JavaScript
//! does not let itself be interrupted at once, and then perhaps its stack.

use serde::{Deserialize, Serialize};

/// The longest answer in bytes.
pub const MAX_ANSWER: usize = 15 * 1024;
/// The most frames of a stack.
pub const MAX_FRAMES: usize = 30;

/// A question of the master.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutionRequest {
    /// Comes back in the answer. Never 0.
    pub id: u32,
    /// Whether the worker is about to be killed: then a system call under way may be interrupted.
    #[serde(default)]
    pub dying: bool,
}

/// An answer of a worker, or the first part of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExecutionAnswer {
    /// `id` of the question.
    pub id: u32,
    /// Whether nothing follows.
    pub complete: bool,
    /// Whether the frames are those of the system call that an earlier part names.
    #[serde(default)]
    pub in_call: bool,
    /// What is known so far.
    pub execution: Execution,
}

/// What the JavaScript thread of a worker executes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Execution {
    /// The JavaScript functions under way, the innermost first. Empty: JavaScript did not let
    /// itself be interrupted, or none is under way.
    pub frames: Vec<Frame>,
    /// What the thread does instead of JavaScript.
    pub waiting: Option<Waiting>,
    /// The heap.
    pub heap: Option<Heap>,
    /// Garbage collections.
    pub gc: Option<Gc>,
}

/// A JavaScript function under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// Its name; empty if it has none.
    pub function: String,
    /// The file's path or URL as V8 knows it; empty for code without a file.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
}

/// What a thread does that executes no JavaScript, or cannot be interrupted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// The kind.
    pub reason: WaitReason,
    /// The system call, such as `read`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    /// The file that the system call is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The child process that it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub child: Option<ChildProcess>,
}

/// The kind of a [`Waiting`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WaitReason {
    /// The event loop waits for events: the worker is idle.
    #[serde(rename = "events")]
    Events,
    /// The kernel, in a system call.
    #[serde(rename = "system call")]
    SystemCall,
    /// The end of a child process.
    #[serde(rename = "child process")]
    ChildProcess,
    /// The garbage collector.
    #[serde(rename = "garbage collection")]
    GarbageCollection,
    /// Nothing: code that is not JavaScript runs.
    #[serde(rename = "native code")]
    NativeCode,
    /// SIGCONT: the process is stopped.
    #[serde(rename = "stopped")]
    Stopped,
}

/// A child of a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildProcess {
    /// Process id.
    pub pid: u32,
    /// Its command line, shortened.
    pub command: String,
}

/// The heap of JavaScript, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heap {
    /// In use.
    pub used: u64,
    /// The limit above which V8 ends the process.
    pub limit: u64,
}

/// The garbage collections of a process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Gc {
    /// Since its start.
    pub runs: u64,
    /// How long they took altogether, milliseconds.
    pub total: f64,
    /// How long the one under way has taken, milliseconds; 0 if none is.
    pub current: f64,
}

impl Execution {
    /// Adds a later part of the answer. `in_call`: of [`ExecutionAnswer`].
    pub fn complete_with(&mut self, later: Self, in_call: bool) {
        if !later.frames.is_empty() {
            self.frames = later.frames;
            if !in_call {
                // JavaScript runs after all.
                self.waiting = None;
            }
        }
        self.waiting = later.waiting.or(self.waiting.take());
        self.heap = later.heap.or(self.heap);
        self.gc = later.gc.or(self.gc);
    }

    /// Returns the stack as `Error.stack` shows it, a line for each frame. `None` without frames.
    pub fn stack(&self) -> Option<String> {
        let lines: Vec<String> = self.frames.iter().map(Frame::to_string).collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }

    /// Describes what it does if there are no frames: `in read of /tmp/fifo`, `in native code`.
    pub fn describe_waiting(&self) -> Option<String> {
        let Waiting { reason, call, file, child } = self.waiting.as_ref()?;
        let mut text = match (reason, child, call) {
            (WaitReason::Events, ..) => "waiting for events".to_owned(),
            (WaitReason::ChildProcess, Some(ChildProcess { pid, command }), _) => {
                format!("waiting for its child process {pid} ({command})")
            }
            (WaitReason::ChildProcess, None, _) => "waiting for a child process".to_owned(),
            (WaitReason::SystemCall, _, Some(call)) => format!("in the system call {call}"),
            (WaitReason::SystemCall, ..) => "in a system call".to_owned(),
            (WaitReason::GarbageCollection, ..) => {
                let time = self.gc.map_or(0.0, |gc| gc.current);
                format!("in a garbage collection for {time:.0} ms")
            }
            (WaitReason::NativeCode, ..) => "in native code".to_owned(),
            (WaitReason::Stopped, ..) => "stopped".to_owned(),
        };
        if let Some(file) = file {
            text.push_str(" of ");
            text.push_str(file);
        }
        Some(text)
    }
}

impl std::fmt::Display for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { function, file, line, column } = self;
        let file = if file.is_empty() { "<anonymous>" } else { file };
        match function.as_str() {
            "" => write!(f, "    at {file}:{line}:{column}"),
            function => write!(f, "    at {function} ({file}:{line}:{column})"),
        }
    }
}

/// Returns an answer as it travels. Leaves out outer frames that do not fit.
pub fn encode(mut answer: ExecutionAnswer) -> Vec<u8> {
    loop {
        // It has no map with other keys than text, so that this cannot fail.
        let bytes = serde_json::to_vec(&answer).unwrap_or_default();
        if bytes.len() <= MAX_ANSWER || answer.execution.frames.pop().is_none() {
            return bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(function: &str) -> Frame {
        Frame { function: function.to_owned(), file: "/a.js".to_owned(), line: 3, column: 5 }
    }

    #[test]
    fn a_stack_looks_as_javascript_shows_it() {
        let nowhere = Frame { file: String::new(), ..frame("") };
        let frames = vec![frame("spin"), frame(""), nowhere];
        let execution = Execution { frames, ..Default::default() };
        let expected = "    at spin (/a.js:3:5)\n    at /a.js:3:5\n    at <anonymous>:3:5";
        assert_eq!(execution.stack().as_deref(), Some(expected));
        assert_eq!(Execution::default().stack(), None);
    }

    #[test]
    fn a_stack_that_comes_after_the_view_from_outside_replaces_it() {
        let native =
            Waiting { reason: WaitReason::NativeCode, call: None, file: None, child: None };
        let gc = Some(Gc { runs: 1, total: 2.0, current: 0.0 });
        let mut first = Execution { waiting: Some(native), gc, ..Default::default() };
        assert_eq!(first.describe_waiting().as_deref(), Some("in native code"));
        let late = Execution { frames: vec![frame("late")], ..Default::default() };
        let mut in_call = first.clone();
        in_call.complete_with(late.clone(), true);
        assert_eq!((in_call.waiting.is_some(), in_call.frames.len()), (true, 1));
        first.complete_with(late, false);
        assert_eq!((first.waiting.is_none(), first.frames.len(), first.gc), (true, 1, gc));
    }

    #[test]
    fn an_answer_is_cut_to_what_fits_and_read_back() {
        let frames = vec![frame(&"x\u{1}".repeat(1_000)); MAX_FRAMES];
        let execution = Execution { frames, ..Default::default() };
        let bytes = encode(ExecutionAnswer { id: 1, complete: true, in_call: false, execution });
        assert!(bytes.len() <= MAX_ANSWER);
        let back: ExecutionAnswer = serde_json::from_slice(&bytes).unwrap();
        assert!((1..MAX_FRAMES).contains(&back.execution.frames.len()));
    }
}
