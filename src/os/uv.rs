//! A descriptor and a timer on the event loop of Node, which is libuv's: what comes wakes the JavaScript thread itself, and no other
//! thread on its way; and what needs no JavaScript wakes none.
//!
//! Node exports libuv to addons, and libuv keeps its interface from version to version; the functions are looked up by name, so that
//! the command line, which links this crate too, needs none of them. What always holds: everything here happens on the thread of
//! the loop.

use std::ffi::{CStr, c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::OnceLock;
use std::time::Duration;

/// `UV_POLL` of libuv's `uv_handle_type`.
const POLL: c_int = 8;
/// `UV_PREPARE`, likewise.
const PREPARE: c_int = 9;
/// `UV_TIMER`, likewise.
const TIMER: c_int = 13;
/// `UV_READABLE`.
const READABLE: c_int = 1;

type OnEvent = extern "C" fn(*mut c_void, c_int, c_int);
type OnTime = extern "C" fn(*mut c_void);

/// What is used of libuv.
#[derive(Clone, Copy)]
struct Api {
    handle_size: extern "C" fn(c_int) -> usize,
    poll_init: extern "C" fn(*mut c_void, *mut c_void, c_int) -> c_int,
    poll_start: extern "C" fn(*mut c_void, c_int, OnEvent) -> c_int,
    poll_stop: extern "C" fn(*mut c_void) -> c_int,
    prepare_init: extern "C" fn(*mut c_void, *mut c_void) -> c_int,
    prepare_start: extern "C" fn(*mut c_void, OnTime) -> c_int,
    prepare_stop: extern "C" fn(*mut c_void) -> c_int,
    timer_init: extern "C" fn(*mut c_void, *mut c_void) -> c_int,
    timer_start: extern "C" fn(*mut c_void, OnTime, u64, u64) -> c_int,
    unref: extern "C" fn(*mut c_void),
    set_data: extern "C" fn(*mut c_void, *mut c_void),
    get_data: extern "C" fn(*const c_void) -> *mut c_void,
}

impl Api {
    /// `None` where this process has no libuv.
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
                prepare_stop: function(c"uv_prepare_stop")?,
                timer_init: function(c"uv_timer_init")?,
                timer_start: function(c"uv_timer_start")?,
                unref: function(c"uv_unref")?,
                set_data: function(c"uv_handle_set_data")?,
                get_data: function(c"uv_handle_get_data")?,
            })
        })
    }

    /// For handles on `event_loop`. Fails where there is no libuv (`Unsupported`).
    fn of(event_loop: *mut c_void) -> io::Result<Self> {
        Self::get()
            .filter(|_| !event_loop.is_null())
            .ok_or_else(|| io::ErrorKind::Unsupported.into())
    }

    /// Memory for a handle; for as long as the process lives, since libuv may look at it to its end.
    fn allocate(&self, kind: c_int) -> *mut c_void {
        let words = (self.handle_size)(kind).div_ceil(size_of::<u64>());
        Box::leak(vec![0u64; words].into_boxed_slice()).as_mut_ptr().cast()
    }
}

/// The function of libuv that has this name, and the type `F`.
fn function<F: Copy>(name: &CStr) -> Option<F> {
    const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
    // SAFETY: the name ends with NUL, and the default handle is always valid.
    #[allow(unsafe_code)]
    let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    // SAFETY: a function pointer is an address, and libuv's function of that name has had the signature `F` in all of its first version.
    #[allow(unsafe_code)]
    (!address.is_null()).then(|| unsafe { std::mem::transmute_copy(&address) })
}

/// Says whether to go on.
type Readable = Box<dyn FnMut() -> bool>;

struct State {
    api: Api,
    readable: Readable,
}

/// A descriptor that is watched, for as long as the process lives. It does not keep the loop alive.
pub struct Poll {
    api: Api,
    handle: *mut c_void,
}

impl Poll {
    /// Has `readable` called whenever something can be read from `fd`, which must stay open, until it says no. `event_loop` is the one
    /// of this very thread, as Node-API tells it. Fails where there is no libuv (`Unsupported`).
    pub fn start(
        event_loop: *mut c_void,
        fd: BorrowedFd<'_>,
        readable: Readable,
    ) -> io::Result<Self> {
        let api = Api::of(event_loop)?;
        let handle = api.allocate(POLL);
        check((api.poll_init)(event_loop, handle, fd.as_raw_fd()))?;
        (api.set_data)(handle, Box::into_raw(Box::new(State { api, readable })).cast());
        let poll = Self { api, handle };
        poll.resume()?;
        (api.unref)(handle);
        Ok(poll)
    }

    /// Goes on after `readable` said no.
    pub fn resume(&self) -> io::Result<()> {
        check((self.api.poll_start)(self.handle, READABLE, on_event))
    }
}

extern "C" fn on_event(handle: *mut c_void, status: c_int, _events: c_int) {
    let Some(api) = Api::get() else { return };
    // SAFETY: the state was put there before the handle was started, and lives as long as the process; libuv calls this on the one
    // thread of its loop, and never from within itself.
    #[allow(unsafe_code)]
    let state = unsafe { &mut *(api.get_data)(handle).cast::<State>() };
    if !(state.readable)() || status < 0 {
        (state.api.poll_stop)(handle);
    }
}

/// Has `beat` called each `interval` for as long as the process lives, without keeping the loop alive. `event_loop` as for `Poll`.
pub fn each(
    event_loop: *mut c_void,
    interval: Duration,
    beat: impl FnMut() + 'static,
) -> io::Result<()> {
    let api = Api::of(event_loop)?;
    let handle = api.allocate(TIMER);
    check((api.timer_init)(event_loop, handle))?;
    let beat: Box<dyn FnMut()> = Box::new(beat);
    (api.set_data)(handle, Box::into_raw(Box::new(beat)).cast());
    let interval = interval.as_millis() as u64;
    check((api.timer_start)(handle, on_time, interval, interval))?;
    (api.unref)(handle);
    Ok(())
}

extern "C" fn on_time(handle: *mut c_void) {
    let Some(api) = Api::get() else { return };
    // SAFETY: as in `on_event`.
    #[allow(unsafe_code)]
    let beat = unsafe { &mut *(api.get_data)(handle).cast::<Box<dyn FnMut()>>() };
    beat();
}

/// Has `look` called each time before the loop looks for what came, until it says no. `event_loop` as for `Poll`.
pub fn before_each_look(
    event_loop: *mut c_void,
    look: impl FnMut() -> bool + 'static,
) -> io::Result<()> {
    let api = Api::of(event_loop)?;
    let handle = api.allocate(PREPARE);
    check((api.prepare_init)(event_loop, handle))?;
    (api.set_data)(handle, Box::into_raw(Box::new(State { api, readable: Box::new(look) })).cast());
    check((api.prepare_start)(handle, on_look))?;
    (api.unref)(handle);
    Ok(())
}

extern "C" fn on_look(handle: *mut c_void) {
    let Some(api) = Api::get() else { return };
    // SAFETY: as in `on_event`.
    #[allow(unsafe_code)]
    let state = unsafe { &mut *(api.get_data)(handle).cast::<State>() };
    if !(state.readable)() {
        (state.api.prepare_stop)(handle);
    }
}

fn check(status: c_int) -> io::Result<()> {
    if status < 0 { Err(io::Error::from_raw_os_error(-status)) } else { Ok(()) }
}
