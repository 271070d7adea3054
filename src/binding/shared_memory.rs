//! The scoreboard for JavaScript, as the shared memory itself.
//!
//! This `unsafe` calls Node-API, which only this room knows; so it is not in `os`.

#![expect(unsafe_code, reason = "Node-API cannot know how long the memory stays mapped")]

use napi::Env;
use napi::bindgen_prelude::ArrayBuffer;

use crate::os::scoreboard::{Header, ROW_BYTES, Row};

/// Returns a row.
pub(super) fn row<'env>(env: &'env Env, row: &Row) -> napi::Result<ArrayBuffer<'env>> {
    shared(env, row.address(), row.clone())
}

/// Returns the header.
pub(super) fn header<'env>(env: &'env Env, header: &Header) -> napi::Result<ArrayBuffer<'env>> {
    shared(env, header.address(), header.clone())
}

/// `owner` is the row or the header at `address`.
fn shared<T: 'static>(env: &Env, address: *mut u8, owner: T) -> napi::Result<ArrayBuffer<'_>> {
    // SAFETY: ROW_BYTES of shared memory stay mapped at `address` until the finalizer drops
    // `owner`. All accesses are atomic; JavaScript's are whole, aligned doubles.
    unsafe { ArrayBuffer::from_external(env, address, ROW_BYTES, owner, |_, owner| drop(owner)) }
}
