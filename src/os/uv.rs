//! Descriptors and timers on Node's event loop, which is libuv's. An event wakes the JavaScript
//! thread directly, without another thread in between; work that needs no JavaScript wakes none.
//!
//! Node exports libuv to addons, and libuv keeps its interface within a major version. The
//! functions are looked up by name, so that the command line, which links this crate too, needs
//! none of them. What always holds: everything here happens on the thread of the loop, and a handle
//! lives as long as the process.

use std::ffi::{c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::OnceLock;
use std::time::Duration;

use super::symbol::function;

/// `UV_CHECK` of libuv's `uv_handle_type`.
const CHECK: c_int = 2;
/// `UV_POLL` of the same.
const POLL: c_int = 8;
/// `UV_PREPARE` of the same.
const PREPARE: c_int = 9;
/// `UV_TIMER` of the same.
const TIMER: c_int = 13;
/// `UV_READABLE`.
const READABLE: c_int = 1;

type OnEvent = unsafe extern "C" fn(*mut c_void, c_int, c_int);
type OnTime = unsafe extern "C" fn(*mut c_void);
type InitHook = unsafe extern "C" fn(*mut c_void, *mut c_void) -> c_int;
type StartHook = unsafe extern "C" fn(*mut c_void, OnTime) -> c_int;

/// The functions of libuv that are used. Each has had this signature in all of its version 1.
#[derive(Clone, Copy)]
struct Api {
    handle_size: extern "C" fn(c_int) -> usize,
    poll_init: unsafe extern "C" fn(*mut c_void, *mut c_void, c_int) -> c_int,
    poll_start: unsafe extern "C" fn(*mut c_void, c_int, OnEvent) -> c_int,
    poll_stop: unsafe extern "C" fn(*mut c_void) -> c_int,
    prepare_init: InitHook,
    prepare_start: StartHook,
    check_init: InitHook,
    check_start: StartHook,
    timer_init: unsafe extern "C" fn(*mut c_void, *mut c_void) -> c_int,
    timer_start: unsafe extern "C" fn(*mut c_void, OnTime, u64, u64) -> c_int,
    backend_fd: unsafe extern "C" fn(*const c_void) -> c_int,
    metrics_idle_time: unsafe extern "C" fn(*mut c_void) -> u64,
    ref_: unsafe extern "C" fn(*mut c_void),
    unref: unsafe extern "C" fn(*mut c_void),
    set_data: unsafe extern "C" fn(*mut c_void, *mut c_void),
    get_data: unsafe extern "C" fn(*const c_void) -> *mut c_void,
}

impl Api {
    /// Returns `None` where this process has no libuv.
    fn get() -> Option<Self> {
        static API: OnceLock<Option<Api>> = OnceLock::new();
        *API.get_or_init(|| {
            Some(Self {
                handle_size: function(c"uv_handle_size")?,
                poll_init: function(c"uv_poll_init")?,
                poll_start: function(c"uv_poll_start")?,
                poll_stop: function(c"uv_poll_stop")?,
                prepare_init: function(c"uv_prepare_init")?,
                prepare_start: function(c"uv_prepare_start")?,
                check_init: function(c"uv_check_init")?,
                check_start: function(c"uv_check_start")?,
                timer_init: function(c"uv_timer_init")?,
                timer_start: function(c"uv_timer_start")?,
                backend_fd: function(c"uv_backend_fd")?,
                metrics_idle_time: function(c"uv_metrics_idle_time")?,
                ref_: function(c"uv_ref")?,
                unref: function(c"uv_unref")?,
                set_data: function(c"uv_handle_set_data")?,
                get_data: function(c"uv_handle_get_data")?,
            })
        })
    }
}

/// A handle of libuv with its state, in memory that is never freed: libuv may use it until the
/// process ends.
#[derive(Clone, Copy)]
struct Handle {
    api: Api,
    raw: *mut c_void,
}

/// What a callback does. Returns whether to go on.
type Step = Box<dyn FnMut() -> bool>;

impl Handle {
    /// Allocates a handle for `event_loop`, and has `init` initialise it. Fails where there is no
    /// libuv (`Unsupported`).
    fn new(
        event_loop: *mut c_void,
        kind: c_int,
        init: impl FnOnce(&Api, *mut c_void) -> c_int,
        step: impl FnMut() -> bool + 'static,
    ) -> io::Result<Self> {
        let api = Api::get().filter(|_| !event_loop.is_null()).ok_or(io::ErrorKind::Unsupported)?;
        let words = (api.handle_size)(kind).div_ceil(size_of::<u64>());
        let raw = Box::leak(vec![0u64; words].into_boxed_slice()).as_mut_ptr().cast();
        check(init(&api, raw))?;
        let step: Step = Box::new(step);
        // SAFETY: `init` made a handle of this memory.
        unsafe { (api.set_data)(raw, Box::into_raw(Box::new(step)).cast()) };
        Ok(Self { api, raw })
    }

    /// Lets the handle keep the loop alive.
    fn hold(&self) {
        // SAFETY: `new` initialised the handle.
        unsafe { (self.api.ref_)(self.raw) };
    }

    /// Does not let the handle keep the loop alive.
    fn unref(&self) {
        // SAFETY: `new` initialised the handle.
        unsafe { (self.api.unref)(self.raw) };
    }

    /// Runs the handle's step.
    ///
    /// # Safety
    /// `raw` is a handle of `new`, and libuv calls this on the thread of its loop.
    unsafe fn run(api: &Api, raw: *mut c_void) -> bool {
        // SAFETY: the caller passes a handle that was initialised.
        let step = unsafe { (api.get_data)(raw) };
        // SAFETY: `new` put the step there, and it is never freed. libuv calls no callback from
        // within another one, so that this reference is the only one.
        let step = unsafe { &mut *step.cast::<Step>() };
        step()
    }
}

/// A descriptor that is watched as long as the process lives.
pub(crate) struct Poll(Handle);

impl Poll {
    /// Calls `readable` whenever `fd`, which must stay open, can be read, until it returns `false`.
    /// `event_loop` is the loop of this thread, as Node-API returns it. It is not kept alive. Fails
    /// where there is no libuv (`Unsupported`).
    pub(crate) fn start(
        event_loop: *mut c_void,
        fd: BorrowedFd<'_>,
        readable: impl FnMut() -> bool + 'static,
    ) -> io::Result<Self> {
        let init = |api: &Api, raw| {
            // SAFETY: the memory has the size of such a handle, and the loop is this thread's.
            unsafe { (api.poll_init)(event_loop, raw, fd.as_raw_fd()) }
        };
        let poll = Self(Handle::new(event_loop, POLL, init, readable)?);
        poll.resume()?;
        poll.0.unref();
        Ok(poll)
    }

    /// Sets whether it keeps the loop alive until `readable` returns `false`.
    pub(crate) fn keep_alive(&self, keep: bool) {
        if keep { self.0.hold() } else { self.0.unref() }
    }

    /// Goes on after `readable` returned `false`.
    pub(crate) fn resume(&self) -> io::Result<()> {
        let Handle { api, raw } = self.0;
        // SAFETY: the handle was initialised, and `on_event` gets it back.
        check(unsafe { (api.poll_start)(raw, READABLE, on_event) })
    }
}

unsafe extern "C" fn on_event(raw: *mut c_void, status: c_int, _events: c_int) {
    let Some(api) = Api::get() else { return };
    // SAFETY: libuv passes the handle of `Poll::start`, on the thread of its loop.
    if !unsafe { Handle::run(&api, raw) } || status < 0 {
        // SAFETY: as above.
        unsafe { (api.poll_stop)(raw) };
    }
}

/// A timer. It does not keep the loop alive.
pub(crate) struct Timer(Handle);

impl Timer {
    /// A timer that will call `step`. `event_loop` as for [`Poll::start`].
    pub(crate) fn new(
        event_loop: *mut c_void,
        mut step: impl FnMut() + 'static,
    ) -> io::Result<Self> {
        let init = |api: &Api, raw| {
            // SAFETY: the memory has the size of such a handle, and the loop is this thread's.
            unsafe { (api.timer_init)(event_loop, raw) }
        };
        let step = move || {
            step();
            true
        };
        let timer = Self(Handle::new(event_loop, TIMER, init, step)?);
        timer.0.unref();
        Ok(timer)
    }

    /// Calls the step once after `wait`.
    pub(crate) fn once(&self, wait: Duration) -> io::Result<()> {
        let Handle { api, raw } = self.0;
        // SAFETY: the handle was initialised, and `on_time` gets it back.
        check(unsafe { (api.timer_start)(raw, on_time, wait.as_millis() as u64, 0) })
    }
}

unsafe extern "C" fn on_time(raw: *mut c_void) {
    let Some(api) = Api::get() else { return };
    // SAFETY: libuv passes a handle of `Handle::new`, on the thread of its loop.
    let _goes_on = unsafe { Handle::run(&api, raw) };
}

/// Calls `step` each time before the loop polls for events. `event_loop` as for [`Poll::start`].
pub(crate) fn before_each_poll(
    event_loop: *mut c_void,
    step: impl FnMut() + 'static,
) -> io::Result<()> {
    each_turn(event_loop, PREPARE, |api| (api.prepare_init, api.prepare_start), step)
}

/// Calls `step` each time after the loop has polled for events. `event_loop` as for
/// [`Poll::start`].
pub(crate) fn after_each_poll(
    event_loop: *mut c_void,
    step: impl FnMut() + 'static,
) -> io::Result<()> {
    each_turn(event_loop, CHECK, |api| (api.check_init, api.check_start), step)
}

/// Calls `step` in each turn of the loop, by a handle that `functions` initialise and start.
fn each_turn(
    event_loop: *mut c_void,
    kind: c_int,
    functions: impl Fn(&Api) -> (InitHook, StartHook),
    mut step: impl FnMut() + 'static,
) -> io::Result<()> {
    let init = |api: &Api, raw| {
        // SAFETY: the memory has the size of such a handle, and the loop is this thread's.
        unsafe { functions(api).0(event_loop, raw) }
    };
    let step = move || {
        step();
        true
    };
    let hook = Handle::new(event_loop, kind, init, step)?;
    let (_, start) = functions(&hook.api);
    // SAFETY: the handle was initialised, and `on_time` gets it back.
    check(unsafe { start(hook.raw, on_time) })?;
    hook.unref();
    Ok(())
}

/// Returns the epoll descriptor on which `event_loop` waits for events.
pub(crate) fn epoll_of(event_loop: *mut c_void) -> Option<i32> {
    let api = Api::get().filter(|_| !event_loop.is_null())?;
    // SAFETY: the loop is this thread's.
    Some(unsafe { (api.backend_fd)(event_loop) }).filter(|fd| *fd >= 0)
}

/// Returns how long `event_loop` has waited for events since its start; zero where it does not
/// count that. Node has its loops count it, for `performance.eventLoopUtilization()`.
pub(crate) fn idle_time(event_loop: *mut c_void) -> Duration {
    let api = Api::get().filter(|_| !event_loop.is_null());
    // SAFETY: the loop is this thread's, and lives.
    let nanoseconds = api.map(|api| unsafe { (api.metrics_idle_time)(event_loop) });
    Duration::from_nanos(nanoseconds.unwrap_or_default())
}

fn check(status: c_int) -> io::Result<()> {
    if status < 0 { Err(io::Error::from_raw_os_error(-status)) } else { Ok(()) }
}
