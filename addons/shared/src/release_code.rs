//! Our JavaScript as a release has it: one file, whose text stays outside of V8's heap, and what V8
//! has compiled of it in another worker.
//!
//! In the heap the text would count up to twice among the objects that survive the start, for which
//! V8 makes its young generation larger. What always holds: the bytes do not change while V8 has
//! them. So the text is a copy, not a mapped file, which somebody may overwrite.
//!
//! This `unsafe` calls Node-API, which only this room knows; so it is not in `os`.

#![expect(unsafe_code, reason = "napi-rs has it only for Node-API 10, which Node 18 does not know")]

use std::ffi::c_void;
use std::fs;
use std::mem;
use std::ptr::{self, null_mut};

use cluster2_rs::os::code_cache::{self, CodeCache};
use cluster2_rs::os::symbol;
use napi::bindgen_prelude::{ArrayBuffer, FromNapiValue, Uint8Array, Unknown};
use napi::{Env, Status, sys};
use napi_derive::napi;

use crate::convert::misuse;
use crate::shared_memory;

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

/// A file of JavaScript.
#[napi]
pub struct ReleaseCode {
    text: Option<Box<[u8]>>,
    /// Tells it from other texts, and this program from others.
    key: u64,
    /// In a worker, as long as it may still write it.
    cache: Option<CodeCache>,
}

#[napi]
impl ReleaseCode {
    /// Reads an ASCII file, between `head` and `tail`.
    #[napi(constructor)]
    pub fn new(file: String, head: String, tail: String) -> napi::Result<Self> {
        let text = [head.as_bytes(), &fs::read(file)?, tail.as_bytes()].concat();
        let key = code_cache::key_of(&text)?;
        Ok(Self { text: Some(text.into_boxed_slice()), key, cache: None })
    }

    /// Returns the text; works once. `null`: it has other characters than ASCII, or this Node
    /// cannot have text outside of its heap.
    #[napi]
    pub fn text<'env>(&mut self, env: &'env Env) -> napi::Result<Option<Unknown<'env>>> {
        match self.text.take() {
            Some(text) if text.is_ascii() => external_string(env, text),
            _ => Ok(None),
        }
    }

    /// In a worker: returns what another one has compiled of the text. `null`: nothing yet. Works
    /// once in a process.
    #[napi]
    pub fn compiled<'env>(&mut self, env: &'env Env) -> napi::Result<Option<ArrayBuffer<'env>>> {
        let cache = CodeCache::inherited()?;
        let code = cache.read(self.key)?;
        self.cache = code.is_none().then_some(cache);
        code.map(|code| shared_memory::compiled_code(env, code)).transpose()
    }

    /// In a worker, after `compiled`: whether this one should `keep` what it has compiled for those
    /// that start later.
    #[napi]
    pub fn is_wanted(&mut self) -> napi::Result<bool> {
        let is_wanted = self.cache.as_ref().is_some_and(|cache| cache.claim().unwrap_or(false));
        if !is_wanted {
            self.cache = None;
        }
        Ok(is_wanted)
    }

    /// Keeps what V8 has compiled, after `is_wanted`.
    #[napi]
    pub fn keep(&mut self, compiled: Uint8Array) -> napi::Result<()> {
        let cache = self.cache.take().ok_or_else(|| misuse("nothing is wanted"))?;
        Ok(cache.write(self.key, &compiled)?)
    }
}

fn external_string(env: &Env, text: Box<[u8]>) -> napi::Result<Option<Unknown<'_>>> {
    let Some(create) = symbol::address(c"node_api_create_external_string_latin1") else {
        return Ok(None);
    };
    // SAFETY: the function of this name has this signature in all versions that have it.
    let create: CreateString = unsafe { mem::transmute(create) };
    let length = text.len();
    let bytes = Box::into_raw(text).cast::<u8>();
    let (mut string, mut copied) = (null_mut(), false);
    // SAFETY: environment of the call under way; the bytes live until `free`, which gets their
    // length.
    let status = unsafe {
        create(env.raw(), bytes, length, free, length as *mut c_void, &mut string, &mut copied)
    };
    if status != sys::Status::napi_ok {
        // SAFETY: nobody else has them.
        unsafe { free(env.raw(), bytes.cast(), length as *mut c_void) };
        return Err(napi::Error::from_status(Status::from(status)));
    }
    // SAFETY: the value was just made in this environment.
    unsafe { Unknown::from_napi_value(env.raw(), string) }.map(Some)
}

/// Called once V8 has no use for the text any more. `length`: of the bytes.
unsafe extern "C" fn free(_: sys::napi_env, bytes: *mut c_void, length: *mut c_void) {
    let bytes = ptr::slice_from_raw_parts_mut(bytes.cast::<u8>(), length as usize);
    // SAFETY: `external_string` made both of one box.
    drop(unsafe { Box::from_raw(bytes) });
}
