//! Memory that processes share for JavaScript, as the memory itself.
//!
//! This `unsafe` calls Node-API, which only this room knows; so it is not in `os`.

#![expect(unsafe_code, reason = "Node-API cannot know how long the memory stays mapped")]

use cluster2_rs::os::code_cache::CompiledCode;
use cluster2_rs::os::scoreboard::{Header, ROW_BYTES, Row, TEXT_BYTES};
use cluster2_rs::os::seize::{TABLE_BYTES, Table};
use napi::Env;
use napi::bindgen_prelude::ArrayBuffer;

/// Returns a row.
pub fn row<'env>(env: &'env Env, row: &Row) -> napi::Result<ArrayBuffer<'env>> {
    shared(env, row.address(), ROW_BYTES, row.clone())
}

/// Returns what belongs to a row for what its worker writes last.
pub(crate) fn last_text<'env>(env: &'env Env, row: &Row) -> napi::Result<ArrayBuffer<'env>> {
    shared(env, row.text_address(), TEXT_BYTES, row.clone())
}

/// Returns the header.
pub fn header<'env>(env: &'env Env, header: &Header) -> napi::Result<ArrayBuffer<'env>> {
    shared(env, header.address(), ROW_BYTES, header.clone())
}

/// Returns what is known of a worker's connections.
pub(crate) fn idle_marks<'env>(
    env: &'env Env,
    marks: &'static Table,
) -> napi::Result<ArrayBuffer<'env>> {
    shared(env, marks.address(), TABLE_BYTES, ())
}

/// Returns what V8 has compiled of our JavaScript. Nobody may write to it.
pub(crate) fn compiled_code(env: &Env, code: CompiledCode) -> napi::Result<ArrayBuffer<'_>> {
    shared(env, code.address(), code.len(), code)
}

/// `length` bytes are mapped at `address` while `owner` lives.
fn shared<T: 'static>(
    env: &Env,
    address: *mut u8,
    length: usize,
    owner: T,
) -> napi::Result<ArrayBuffer<'_>> {
    // SAFETY: the callers in this file pass memory that stays mapped until the finalizer drops
    // `owner`. It never changes, or all accesses are atomic; JavaScript's are whole, aligned
    // doubles, or the bytes of a text, which is read once its worker is gone.
    unsafe { ArrayBuffer::from_external(env, address, length, owner, |_, owner| drop(owner)) }
}
