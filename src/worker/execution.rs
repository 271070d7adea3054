//! What the JavaScript thread executes, for a master that asks.
//!
//! The watch thread takes the question and has V8 interrupt JavaScript. The interrupt, on the
//! JavaScript thread, takes the stack and sends it. If it does not come at once, the watch sends
//! what it sees from outside: the system call, the child process, the garbage collection, or native
//! code. What always holds:
//!
//! - An idle worker costs nothing: the watch sleeps, and no timer, sampling or flag of V8 is on.
//! - The interrupt runs no JavaScript and does not wait. If there is no room for its answer, there
//!   is no answer.
//! - One interrupt is outstanding at a time, because V8 cannot withdraw it. One that comes too
//!   late, or after the event loop turned, takes no stack: it would show something else than what
//!   was asked for.
//! - A system call is only interrupted, by a signal, in a worker that is about to be killed.
//! - Stacks are only taken where a test at the start took one and found it right. Without them the
//!   view from outside is left.

use std::ffi::c_void;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::os;
use crate::os::channel::{Channel, MAX_BYTES};
use crate::os::thread_state::{self, ThreadState};
use crate::os::{call_interrupt, uv, v8};
use crate::protocol::execution::{
    ChildProcess, Execution, ExecutionAnswer, ExecutionRequest, Frame, Gc, Heap, MAX_FRAMES,
    WaitReason, Waiting, encode,
};

/// How long JavaScript has to let itself be interrupted, before the watch looks from outside.
const INTERRUPTED_WITHIN: Duration = Duration::from_millis(250);
/// After so long the master waits for no stack any more, microseconds.
const STALE_AFTER: u64 = 1_500_000;

/// What the watch thread and the interrupt share.
#[derive(Debug)]
struct Shared {
    channel: Channel,
    /// The question for which a stack is wanted; 0: none.
    wanted: AtomicU32,
    /// Whether V8 has a request that it has not come to.
    requested: AtomicBool,
    /// When it was made, microseconds on the monotonic clock.
    asked_at: AtomicU64,
    /// How often the event loop has turned, and had turned then.
    turns: &'static AtomicU64,
    turns_then: AtomicU64,
}

/// There is one worker in a process.
static SHARED: OnceLock<Shared> = OnceLock::new();
/// Whether `heap` of V8 was found right.
static KNOWS_HEAP: AtomicBool = AtomicBool::new(false);

/// Allows stacks of this thread's JavaScript, if a test stack has the function `caller`, which
/// calls this, at its top. `env` is the environment as Node-API passes it, `heap_used` what V8 says
/// of its heap, bytes.
pub fn enable(env: *mut c_void, caller: &str, heap_used: f64) {
    let is_right = v8::start(env)
        && v8::stack(1).is_some_and(|frames| frames.iter().any(|top| is_position_in(top, caller)));
    if !is_right {
        v8::forget();
        tracing::info!("this Node does not show what a stuck worker executes");
        return;
    }
    let is_heap = |(used, limit): (u64, u64)| {
        (used as f64 - heap_used).abs() < heap_used / 10.0 && limit >= used
    };
    KNOWS_HEAP.store(v8::heap().is_some_and(is_heap), Ordering::Relaxed);
    v8::count_collections();
    v8::allow_interrupts();
}

fn is_position_in(frame: &v8::StackFrame, caller: &str) -> bool {
    frame.function == caller && frame.file.starts_with('/') && frame.line > 0
}

/// Ends the stacks, because the environment ends.
pub fn disable() {
    v8::forget();
}

/// The part of the watch thread.
pub(super) struct Responder {
    shared: &'static Shared,
    /// The JavaScript thread.
    thread: i32,
    /// On which its event loop waits.
    epoll: Option<i32>,
    /// The question that JavaScript has not answered, and when to look from outside.
    pending: Option<(ExecutionRequest, Instant)>,
    buffer: Box<[u8; MAX_BYTES]>,
}

impl Responder {
    /// Called on the JavaScript thread; `event_loop` is its own, whose turns `turns` counts.
    pub(super) fn new(
        channel: Channel,
        event_loop: *mut c_void,
        turns: &'static AtomicU64,
    ) -> Self {
        let shared = SHARED.get_or_init(|| Shared {
            channel,
            wanted: AtomicU32::new(0),
            requested: AtomicBool::new(false),
            asked_at: AtomicU64::new(0),
            turns,
            turns_then: AtomicU64::new(0),
        });
        Self {
            shared,
            thread: thread_state::this_thread(),
            epoll: uv::epoll_of(event_loop),
            pending: None,
            buffer: Box::new([0; MAX_BYTES]),
        }
    }

    /// What becomes readable when there is a question.
    pub(super) fn readable(&self) -> BorrowedFd<'_> {
        self.shared.channel.as_fd()
    }

    /// How long the watch may sleep.
    pub(super) fn wait(&self) -> Option<Duration> {
        self.pending.map(|(_, due)| due.saturating_duration_since(Instant::now()))
    }

    /// Takes new questions, and answers what is due.
    pub(super) fn turn(&mut self) {
        while let Ok(Some(received)) = self.shared.channel.receive_lossy(&mut self.buffer) {
            if let Ok(request) = serde_json::from_slice(received.bytes) {
                self.ask(request);
            }
        }
        if let Some((request, due)) = self.pending
            && due <= Instant::now()
        {
            self.pending = None;
            if self.shared.wanted.load(Ordering::Acquire) == request.id {
                self.look_from_outside(request);
            }
        }
    }

    fn ask(&mut self, request: ExecutionRequest) {
        let shared = self.shared;
        shared.turns_then.store(shared.turns.load(Ordering::Relaxed), Ordering::Relaxed);
        shared.asked_at.store(os::now_micros(), Ordering::Relaxed);
        shared.wanted.store(request.id, Ordering::Release);
        self.pending = Some((request, Instant::now() + INTERRUPTED_WITHIN));
        if !shared.requested.swap(true, Ordering::AcqRel) && !v8::interrupt(on_interrupt) {
            shared.requested.store(false, Ordering::Release);
            self.pending = Some((request, Instant::now()));
        }
    }

    fn look_from_outside(&self, ExecutionRequest { id, dying }: ExecutionRequest) {
        let waiting = self.waiting();
        // Nothing is under way of which a stack could be taken.
        let complete = waiting.reason == WaitReason::Events;
        if complete {
            self.shared.wanted.store(0, Ordering::Release);
        }
        let execution = Execution { waiting: Some(waiting), gc: gc(), ..Default::default() };
        self.shared.send(ExecutionAnswer { id, complete, in_call: false, execution });
        if dying && !complete && self.hangs() {
            call_interrupt::run(self.thread, on_signal);
        }
    }

    /// Whether it is in a system call that may be interrupted, of JavaScript that can be seen.
    fn hangs(&self) -> bool {
        let state = thread_state::of(self.thread);
        let bears = matches!(state, Some(ThreadState::InCall(call)) if call.bears_signals());
        bears && v8::collections().current.is_none()
    }

    fn waiting(&self) -> Waiting {
        let is = |reason| Waiting { reason, call: None, file: None, child: None };
        // Shorter ones are not what keeps JavaScript from being interrupted.
        let long = INTERRUPTED_WITHIN.as_micros() as u64;
        if v8::collections().current.is_some_and(|time| time >= long) {
            return is(WaitReason::GarbageCollection);
        }
        match thread_state::of(self.thread) {
            Some(ThreadState::InCall(call)) if self.epoll.is_some() && call.polls(self.epoll) => {
                is(WaitReason::Events)
            }
            // `execSync` has an event loop of its own.
            Some(ThreadState::InCall(call)) if call.polls(None) || call.waits_for_child() => {
                let child = thread_state::last_child(self.thread)
                    .map(|child| ChildProcess { pid: child.pid, command: child.command });
                Waiting { child, call: Some(call.name()), ..is(WaitReason::ChildProcess) }
            }
            Some(ThreadState::InCall(call)) => {
                Waiting { call: Some(call.name()), file: call.file(), ..is(WaitReason::SystemCall) }
            }
            Some(ThreadState::Waiting) => is(WaitReason::SystemCall),
            Some(ThreadState::Running) | None => is(WaitReason::NativeCode),
        }
    }
}

impl Shared {
    /// Called on the JavaScript thread.
    fn send_stack(&self, id: u32, in_call: bool) {
        let frames = v8::stack(MAX_FRAMES).unwrap_or_default().into_iter().map(|frame| {
            let v8::StackFrame { function, file, line, column } = frame;
            Frame { function, file, line, column }
        });
        let heap = KNOWS_HEAP.load(Ordering::Relaxed).then(v8::heap).flatten();
        let execution = Execution {
            frames: frames.collect(),
            waiting: None,
            heap: heap.map(|(used, limit)| Heap { used, limit }),
            gc: gc(),
        };
        self.send(ExecutionAnswer { id, complete: true, in_call, execution });
    }

    fn send(&self, answer: ExecutionAnswer) {
        if let Err(error) = self.channel.send(&encode(answer), &[]) {
            tracing::debug!(%error, "the master did not take what this worker executes");
        }
    }
}

/// Takes the stack, on the JavaScript thread.
fn on_interrupt() {
    let Some(shared) = SHARED.get() else { return };
    shared.requested.store(false, Ordering::Release);
    let id = shared.wanted.swap(0, Ordering::AcqRel);
    let is_late =
        os::now_micros().saturating_sub(shared.asked_at.load(Ordering::Relaxed)) > STALE_AFTER;
    let has_turned =
        shared.turns.load(Ordering::Relaxed) != shared.turns_then.load(Ordering::Relaxed);
    if id == 0 || is_late {
        return;
    }
    if has_turned {
        let execution = Execution { gc: gc(), ..Default::default() };
        return shared.send(ExecutionAnswer { id, complete: true, in_call: false, execution });
    }
    shared.send_stack(id, false);
}

/// Takes the stack, on the JavaScript thread in a system call.
fn on_signal() {
    let Some(shared) = SHARED.get() else { return };
    let id = shared.wanted.swap(0, Ordering::AcqRel);
    if id != 0 {
        shared.send_stack(id, true);
    }
}

fn gc() -> Option<Gc> {
    let v8::Collections { runs, total, current } = v8::collections();
    let millis = |micros: u64| micros as f64 / 1e3;
    Some(Gc { runs, total: millis(total), current: millis(current.unwrap_or(0)) })
}
