//! The text of our JavaScript, outside of V8's heap.
//!
//! In the heap it would count up to twice among the objects that survive the start, for which V8
//! makes its young generation larger. What always holds: the bytes do not change while V8 has them.
//! So it is a copy, not a mapped file, which somebody may overwrite.
//!
//! This `unsafe` calls Node-API, which only this room knows; so it is not in `os`.

#![expect(unsafe_code, reason = "napi-rs has it only for Node-API 10, which Node 18 does not know")]

use std::ffi::c_void;
use std::fs;
use std::mem;
use std::ptr::{self, null_mut};

use cluster2_rs::os::symbol;
use napi::bindgen_prelude::{FromNapiValue, Unknown};
use napi::{Env, Status, sys};
use napi_derive::napi;

/// `node_api_create_external_string_latin1`, since Node 18.18 and 20.4.
type CreateString = unsafe extern "C" fn(
    sys::napi_env,
    bytes: *mut u8,
    length: usize,
    finalize: unsafe extern "C" fn(sys::napi_env, *mut c_void, *mut c_void),
    hint: *mut c_void,
    result: *mut sys::napi_value,
    copied: *mut bool,
) -> sys::napi_status;

/// Returns the text of an ASCII file. `None`: it has other characters, or this Node cannot have
/// text outside of its heap.
#[napi]
pub fn text_of(env: &Env, file: String) -> napi::Result<Option<Unknown<'_>>> {
    let Some(create) = symbol::address(c"node_api_create_external_string_latin1") else {
        return Ok(None);
    };
    // SAFETY: the function of this name has this signature in all versions that have it.
    let create: CreateString = unsafe { mem::transmute(create) };
    let bytes = fs::read(file)?.into_boxed_slice();
    if !bytes.is_ascii() {
        return Ok(None);
    }
    let length = bytes.len();
    let bytes = Box::into_raw(bytes).cast::<u8>();
    let (mut text, mut copied) = (null_mut(), false);
    // SAFETY: environment of the call under way; the bytes live until `free`, which gets the length.
    let status = unsafe {
        create(env.raw(), bytes, length, free, length as *mut c_void, &mut text, &mut copied)
    };
    if status != sys::Status::napi_ok {
        // SAFETY: nobody else has them.
        unsafe { free(env.raw(), bytes.cast(), length as *mut c_void) };
        return Err(napi::Error::from_status(Status::from(status)));
    }
    // SAFETY: the value was just made in this environment.
    unsafe { Unknown::from_napi_value(env.raw(), text) }.map(Some)
}

/// Called once V8 has no use for the text any more. `length`: of the bytes.
unsafe extern "C" fn free(_: sys::napi_env, bytes: *mut c_void, length: *mut c_void) {
    let bytes = ptr::slice_from_raw_parts_mut(bytes.cast::<u8>(), length as usize);
    // SAFETY: `text_of` made both of one box.
    drop(unsafe { Box::from_raw(bytes) });
}
