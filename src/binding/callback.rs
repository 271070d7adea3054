//! Calls of JavaScript out of a callback of the event loop.
//!
//! napi-rs has threadsafe functions for this, which go around by another callback of the loop: a call of the kernel to wake it and
//! two to hear of it, for each batch of connections. What always holds: it is called on the thread of its environment, with no
//! JavaScript under way, and never after that environment began to end.

use std::cell::Cell;
use std::ptr::null_mut;
use std::rc::Rc;

use napi::bindgen_prelude::{Function, JsValue};
use napi::{Env, sys};

/// A function of JavaScript without arguments, whose result is of no interest.
pub struct Callback {
    env: sys::napi_env,
    function: sys::napi_ref,
    ended: Rc<Cell<bool>>,
}

impl Callback {
    /// Keeps `function` for as long as the environment lives.
    pub fn new(env: &Env, function: &Function<'_, (), ()>) -> napi::Result<Self> {
        let ended = Rc::new(Cell::new(false));
        // Handles of the loop are closed after that, and their events may come meanwhile.
        env.add_env_cleanup_hook(Rc::clone(&ended), |ended| ended.set(true))?;
        let (mut reference, env, function) = (null_mut(), env.raw(), function.raw());
        // SAFETY: environment and function are those of the call that is under way.
        #[allow(unsafe_code)]
        let status = unsafe { sys::napi_create_reference(env, function, 1, &mut reference) };
        if status == sys::Status::napi_ok {
            Ok(Self { env, function: reference, ended })
        } else {
            Err(napi::Error::from_status(status.into()))
        }
    }

    /// Calls it, and then whatever JavaScript put off to the end of the call. What it throws is an uncaught error.
    pub fn call(&self) {
        if self.ended.get() {
            return;
        }
        let (env, mut scope, mut result) = (self.env, null_mut(), null_mut());
        let (mut receiver, mut function, mut error) = (null_mut(), null_mut(), null_mut());
        // SAFETY: the environment has not begun to end, and this is its thread (see the module's text); all values live within
        // the scope, which is closed in the order in which it was opened.
        #[allow(unsafe_code)]
        unsafe {
            sys::napi_open_handle_scope(env, &mut scope);
            sys::napi_get_global(env, &mut receiver);
            sys::napi_get_reference_value(env, self.function, &mut function);
            let status = sys::napi_make_callback(
                env,
                null_mut(),
                receiver,
                function,
                0,
                null_mut(),
                &mut result,
            );
            if status == sys::Status::napi_pending_exception {
                sys::napi_get_and_clear_last_exception(env, &mut error);
                sys::napi_fatal_exception(env, error);
            }
            sys::napi_close_handle_scope(env, scope);
        }
    }
}
