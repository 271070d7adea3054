//! V8 from another thread: interrupts JavaScript, and reads its stack, heap and garbage
//! collections.
//!
//! Node exports V8 to addons. Its functions are looked up by their mangled names, like libuv's in
//! `uv.rs`: where one is missing, nothing here works, and nothing else is affected. What always
//! holds:
//!
//! - An interrupt is only requested while the isolate lives: [`forget`] waits for a request under
//!   way, and ends all later ones.
//! - In an interrupt no JavaScript runs, nothing throws, and nothing waits.
//! - [`stack`] and [`heap`] work on the JavaScript thread only. Elsewhere they return `None`.
//!
//! V8 calls an interrupt where it checks its stack guard: at function entries and loop ends, in
//! regular expressions and WebAssembly loops, and never within a garbage collection or a native
//! function.

use std::cell::Cell;
use std::ffi::{c_char, c_int, c_void};
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::now_micros;
use super::symbol::function;

/// `StackTrace::kDetailed` and all options that were added to it.
const ALL_DETAILS: c_int = 0xff;
/// `kGCTypeAll`, whichever types a version has.
const ALL_COLLECTIONS: c_int = 0xffff;
/// Room for `HeapStatistics`, words. It has had 11 to 15.
const HEAP_WORDS: usize = 64;
/// The words of `HeapStatistics` that are read.
const HEAP_USED: usize = 4;
const HEAP_LIMIT: usize = 5;
/// The longest name of a function or file, bytes with the NUL.
const MAX_NAME: usize = 512;

type Isolate = c_void;
type OnInterrupt = unsafe extern "C" fn(*mut Isolate, *mut c_void);
type OnCollection = unsafe extern "C" fn(*mut Isolate, c_int, c_int, *mut c_void);

/// `v8::Location`, which fits into one register.
#[repr(C)]
#[derive(Clone, Copy)]
struct Location {
    line: c_int,
    column: c_int,
}

/// The functions of V8 and Node-API that are used. A mangled name holds the types of the
/// parameters; the results are those of Node 18 to 26, and the test at a worker's start compares
/// what they return.
#[derive(Clone, Copy)]
struct Api {
    current_isolate: unsafe extern "C" fn() -> *mut Isolate,
    request_interrupt: unsafe extern "C" fn(*mut Isolate, OnInterrupt, *mut c_void),
    current_stack: unsafe extern "C" fn(*mut Isolate, c_int, c_int) -> *mut c_void,
    frame_count: unsafe extern "C" fn(*const c_void) -> c_int,
    frame: unsafe extern "C" fn(*const c_void, *mut Isolate, u32) -> *mut c_void,
    location: unsafe extern "C" fn(*const c_void) -> Location,
    script_name: unsafe extern "C" fn(*const c_void) -> *mut c_void,
    function_name: unsafe extern "C" fn(*const c_void) -> *mut c_void,
    heap_new: unsafe extern "C" fn(*mut usize),
    heap_statistics: unsafe extern "C" fn(*mut Isolate, *mut usize),
    add_gc_prologue: unsafe extern "C" fn(*mut Isolate, OnCollection, *mut c_void, c_int),
    add_gc_epilogue: unsafe extern "C" fn(*mut Isolate, OnCollection, *mut c_void, c_int),
    open_scope: unsafe extern "C" fn(*mut c_void, *mut *mut c_void) -> c_int,
    close_scope: unsafe extern "C" fn(*mut c_void, *mut c_void) -> c_int,
    text: unsafe extern "C" fn(*mut c_void, *mut c_void, *mut c_char, usize, *mut usize) -> c_int,
}

impl Api {
    /// Returns `None` where this process has no such V8.
    fn get() -> Option<Self> {
        static API: OnceLock<Option<Api>> = OnceLock::new();
        *API.get_or_init(|| {
            Some(Self {
                current_isolate: function(c"_ZN2v87Isolate10GetCurrentEv")?,
                request_interrupt: function(c"_ZN2v87Isolate16RequestInterruptEPFvPS0_PvES2_")?,
                current_stack: function(
                    c"_ZN2v810StackTrace17CurrentStackTraceEPNS_7IsolateEiNS0_17StackTraceOptionsE",
                )?,
                frame_count: function(c"_ZNK2v810StackTrace13GetFrameCountEv")?,
                frame: function(c"_ZNK2v810StackTrace8GetFrameEPNS_7IsolateEj")?,
                location: function(c"_ZNK2v810StackFrame11GetLocationEv")?,
                script_name: function(c"_ZNK2v810StackFrame13GetScriptNameEv")?,
                function_name: function(c"_ZNK2v810StackFrame15GetFunctionNameEv")?,
                heap_new: function(c"_ZN2v814HeapStatisticsC1Ev")?,
                heap_statistics: function(
                    c"_ZN2v87Isolate17GetHeapStatisticsEPNS_14HeapStatisticsE",
                )?,
                add_gc_prologue: function(
                    c"_ZN2v87Isolate21AddGCPrologueCallbackEPFvPS0_NS_6GCTypeENS_15GCCallbackFlagsEPvES4_S2_",
                )?,
                add_gc_epilogue: function(
                    c"_ZN2v87Isolate21AddGCEpilogueCallbackEPFvPS0_NS_6GCTypeENS_15GCCallbackFlagsEPvES4_S2_",
                )?,
                open_scope: function(c"napi_open_handle_scope")?,
                close_scope: function(c"napi_close_handle_scope")?,
                text: function(c"napi_get_value_string_utf8")?,
            })
        })
    }
}

/// An isolate and the environment of Node-API that runs in it.
#[derive(Clone, Copy)]
struct Bound {
    isolate: NonNull<Isolate>,
    env: NonNull<c_void>,
}

// SAFETY: other threads only pass the isolate to `RequestInterrupt`, which is made for that.
unsafe impl Send for Bound {}

thread_local! {
    /// Set on the JavaScript thread.
    static HERE: Cell<Option<Bound>> = const { Cell::new(None) };
}

/// For other threads. `None`: not started, or ended.
static ISOLATE: Mutex<Option<Bound>> = Mutex::new(None);

/// A JavaScript function under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StackFrame {
    /// Empty if it has no name.
    pub(crate) function: String,
    /// Empty for code without a file.
    pub(crate) file: String,
    /// From 1.
    pub(crate) line: u32,
    /// From 1.
    pub(crate) column: u32,
}

/// Enables the functions of this module for the JavaScript of this thread. `env` is its environment
/// as Node-API passes it. Returns `false` where V8 is not as expected. The caller calls [`forget`]
/// before the environment ends.
pub(crate) fn start(env: *mut c_void) -> bool {
    let Some(api) = Api::get() else { return false };
    // SAFETY: the function takes nothing, and returns null on a thread without isolate.
    let isolate = unsafe { (api.current_isolate)() };
    let (Some(isolate), Some(env)) = (NonNull::new(isolate), NonNull::new(env)) else {
        return false;
    };
    HERE.set(Some(Bound { isolate, env }));
    true
}

/// Lets other threads interrupt the JavaScript of this one.
pub(crate) fn allow_interrupts() {
    *ISOLATE.lock().unwrap_or_else(PoisonError::into_inner) = HERE.get();
}

/// Ends everything here, because the environment of this thread ends.
pub(crate) fn forget() {
    HERE.set(None);
    *ISOLATE.lock().unwrap_or_else(PoisonError::into_inner) = None;
}

/// Has V8 call `callback` on the JavaScript thread, as soon as JavaScript runs there. Returns
/// `false` if there is none. A request cannot be withdrawn.
pub(crate) fn interrupt(callback: fn()) -> bool {
    let isolate = ISOLATE.lock().unwrap_or_else(PoisonError::into_inner);
    let (Some(api), Some(bound)) = (Api::get(), *isolate) else { return false };
    // SAFETY: the isolate lives, since `forget` waits for this lock; any thread may call this.
    unsafe {
        (api.request_interrupt)(bound.isolate.as_ptr(), on_interrupt, callback as *mut c_void);
    }
    true
}

unsafe extern "C" fn on_interrupt(_isolate: *mut Isolate, data: *mut c_void) {
    // SAFETY: `interrupt` passes a function of this type.
    let callback = unsafe { std::mem::transmute::<*mut c_void, fn()>(data) };
    callback();
}

/// Returns the innermost `limit` functions under way on this thread. `None`: it has no JavaScript,
/// or its environment has ended.
pub(crate) fn stack(limit: usize) -> Option<Vec<StackFrame>> {
    let (api, bound) = (Api::get()?, HERE.get()?);
    let mut scope = null_mut();
    // SAFETY: the environment lives, and this is its thread.
    if unsafe { (api.open_scope)(bound.env.as_ptr(), &mut scope) } != 0 {
        return None;
    }
    let frames = frames(&api, bound, limit);
    // SAFETY: opened above; no scope within it is open.
    unsafe { (api.close_scope)(bound.env.as_ptr(), scope) };
    frames
}

/// Reads the stack within an open scope, which keeps what V8 returns.
fn frames(api: &Api, bound: Bound, limit: usize) -> Option<Vec<StackFrame>> {
    let isolate = bound.isolate.as_ptr();
    // SAFETY: this is the isolate's thread, with a handle scope open.
    let trace = unsafe { (api.current_stack)(isolate, limit as c_int, ALL_DETAILS) };
    if trace.is_null() {
        return Some(Vec::new());
    }
    // SAFETY: V8 returned the trace in this scope.
    let count = unsafe { (api.frame_count)(trace) };
    let frame = |index| {
        // SAFETY: as above, and the index is below the count.
        let frame = unsafe { (api.frame)(trace, isolate, index) };
        if frame.is_null() {
            return None;
        }
        // SAFETY: V8 returned the frame in this scope.
        let Location { line, column } = unsafe { (api.location)(frame) };
        // SAFETY: as above.
        let file = unsafe { (api.script_name)(frame) };
        // SAFETY: as above.
        let function = unsafe { (api.function_name)(frame) };
        Some(StackFrame {
            function: text(api, bound, function),
            file: text(api, bound, file),
            line: (line + 1).max(0) as u32,
            column: (column + 1).max(0) as u32,
        })
    };
    (0..count.clamp(0, limit as c_int) as u32).map(frame).collect()
}

/// Returns a string of V8, shortened. A `v8::Local` is what Node-API calls a value.
fn text(api: &Api, bound: Bound, value: *mut c_void) -> String {
    if value.is_null() {
        return String::new();
    }
    let (mut bytes, mut length) = ([0u8; MAX_NAME], 0);
    let (env, place) = (bound.env.as_ptr(), bytes.as_mut_ptr().cast());
    // SAFETY: the value lives within the scope, and the place has this length. For a value that is
    // no string nothing is written.
    unsafe { (api.text)(env, value, place, MAX_NAME, &mut length) };
    String::from_utf8_lossy(&bytes[..length.min(MAX_NAME)]).into_owned()
}

/// Returns how many bytes of the heap are used, and its limit. `None` as for [`stack`].
pub(crate) fn heap() -> Option<(u64, u64)> {
    let (api, bound) = (Api::get()?, HERE.get()?);
    let mut words = [0usize; HEAP_WORDS];
    // SAFETY: there is more room than any version needs.
    unsafe { (api.heap_new)(words.as_mut_ptr()) };
    // SAFETY: as above, and this is the isolate's thread.
    unsafe { (api.heap_statistics)(bound.isolate.as_ptr(), words.as_mut_ptr()) };
    Some((words[HEAP_USED] as u64, words[HEAP_LIMIT] as u64))
}

/// When the collection under way began, microseconds; 0: none is.
static GC_BEGAN: AtomicU64 = AtomicU64::new(0);
/// How long collections took, microseconds.
static GC_TOTAL: AtomicU64 = AtomicU64::new(0);
static GC_RUNS: AtomicU64 = AtomicU64::new(0);

/// The garbage collections since [`count_collections`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Collections {
    pub(crate) runs: u64,
    /// How long they took, microseconds.
    pub(crate) total: u64,
    /// How long the one under way has taken, microseconds.
    pub(crate) current: Option<u64>,
}

/// Begins to count the garbage collections of this thread's JavaScript.
pub(crate) fn count_collections() {
    let (Some(api), Some(bound)) = (Api::get(), HERE.get()) else { return };
    let isolate = bound.isolate.as_ptr();
    // SAFETY: this is the isolate's thread; the callback is never unloaded.
    unsafe { (api.add_gc_prologue)(isolate, on_gc_begin, null_mut(), ALL_COLLECTIONS) };
    // SAFETY: as above.
    unsafe { (api.add_gc_epilogue)(isolate, on_gc_end, null_mut(), ALL_COLLECTIONS) };
}

unsafe extern "C" fn on_gc_begin(_: *mut Isolate, _: c_int, _: c_int, _: *mut c_void) {
    GC_BEGAN.store(now_micros(), Ordering::Relaxed);
}

unsafe extern "C" fn on_gc_end(_: *mut Isolate, _: c_int, _: c_int, _: *mut c_void) {
    let began = GC_BEGAN.swap(0, Ordering::Relaxed);
    if began > 0 {
        GC_TOTAL.fetch_add(now_micros().saturating_sub(began), Ordering::Relaxed);
        GC_RUNS.fetch_add(1, Ordering::Relaxed);
    }
}

/// Returns the garbage collections so far. Any thread may call this.
pub(crate) fn collections() -> Collections {
    let began = GC_BEGAN.load(Ordering::Relaxed);
    Collections {
        runs: GC_RUNS.load(Ordering::Relaxed),
        total: GC_TOTAL.load(Ordering::Relaxed),
        current: (began > 0).then(|| now_micros().saturating_sub(began)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_v8_there_is_nothing_to_see() {
        assert!(!start(NonNull::dangling().as_ptr()));
        assert!(!interrupt(|| unreachable!()));
        assert_eq!((stack(5), heap()), (None, None));
        assert_eq!(collections().runs, 0);
    }
}
