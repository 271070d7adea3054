//! Calls of JavaScript out of a callback of the event loop.
//!
//! napi-rs has threadsafe functions for this. They go through another callback of the loop, which
//! costs three system calls for each batch of connections. What always holds: it is called on the
//! thread of its environment, with no JavaScript under way, and never after that environment began
//! to end.
//!
//! This `unsafe` calls Node-API, which only this room knows; so it is not in `os`.

#![expect(unsafe_code, reason = "napi-rs has no safe form of napi_make_callback")]

use std::cell::Cell;
use std::ptr::null_mut;
use std::rc::Rc;

use napi::bindgen_prelude::{Function, JsValue};
use napi::{Env, sys};

/// A function of JavaScript without arguments, whose result is ignored.
pub(crate) struct Callback {
    env: sys::napi_env,
    function: sys::napi_ref,
    ended: Rc<Cell<bool>>,
}

impl Callback {
    /// Keeps `function` as long as the environment lives.
    pub(crate) fn new(env: &Env, function: &Function<'_, (), ()>) -> napi::Result<Self> {
        let ended = Rc::new(Cell::new(false));
        // Handles of the loop are closed after that, and may still have events.
        env.add_env_cleanup_hook(Rc::clone(&ended), |ended| ended.set(true))?;
        let (mut reference, env, function) = (null_mut(), env.raw(), function.raw());
        // SAFETY: environment and function are those of the call under way.
        let status = unsafe { sys::napi_create_reference(env, function, 1, &mut reference) };
        if status == sys::Status::napi_ok {
            Ok(Self { env, function: reference, ended })
        } else {
            Err(napi::Error::from_status(status.into()))
        }
    }

    /// Calls the function, and then everything that JavaScript deferred to the end of the call. An
    /// exception is an uncaught error.
    pub(crate) fn call(&self) {
        if self.ended.get() {
            return;
        }
        let mut scope = null_mut();
        // SAFETY: the environment has not begun to end, and this is its thread (the module's text).
        unsafe { sys::napi_open_handle_scope(self.env, &mut scope) };
        self.call_in_scope();
        // SAFETY: opened above; no scope within it is open.
        unsafe { sys::napi_close_handle_scope(self.env, scope) };
    }

    fn call_in_scope(&self) {
        let (mut receiver, mut function, mut result) = (null_mut(), null_mut(), null_mut());
        // SAFETY: the environment is alive, and a scope is open for the value.
        unsafe { sys::napi_get_global(self.env, &mut receiver) };
        // SAFETY: as above; the reference is never deleted.
        unsafe { sys::napi_get_reference_value(self.env, self.function, &mut function) };
        let (context, arguments) = (null_mut(), null_mut());
        // SAFETY: both values live within the scope; there are no arguments.
        let status = unsafe {
            sys::napi_make_callback(
                self.env,
                context,
                receiver,
                function,
                0,
                arguments,
                &mut result,
            )
        };
        if status == sys::Status::napi_pending_exception {
            let mut error = null_mut();
            // SAFETY: as for the global object.
            unsafe { sys::napi_get_and_clear_last_exception(self.env, &mut error) };
            // SAFETY: the exception lives within the scope.
            unsafe { sys::napi_fatal_exception(self.env, error) };
        }
    }
}
