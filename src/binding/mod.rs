//! The addon: the only part that knows Node-API, and thin. Each class holds one object of `runtime`; values cross as JSON.
//!
//! Errors are thrown with a JSON message (`{"code", "message"}`), which `lib/errors.js` turns into a `ClusterError`.

mod callback;
mod embedder;
pub mod health;
pub mod master;
pub mod remote;
pub mod single;
pub mod terminal;
pub mod worker;

use napi::bindgen_prelude::ArrayBuffer;
use napi_derive::napi;
use serde::de::DeserializeOwned;

use crate::config::Config;
use crate::error::ClusterError;
use crate::os::scoreboard::{Header, ROW_BYTES, Row};

/// Checks the user's options and fills in the defaults; see `Config::from_json`.
#[napi]
pub fn normalize_options(options: String) -> napi::Result<String> {
    let config = Config::from_json(&parse(&options)?).map_err(fail)?;
    print(&config)
}

/// The IP address that a `host` option stands for.
#[napi]
pub fn resolve_host(host: String) -> napi::Result<String> {
    crate::os::listener::resolve(&host).map(|address| address.to_string()).map_err(fail)
}

/// A row of the scoreboard for JavaScript, as the shared memory itself.
fn row<'env>(env: &'env napi::Env, row: &Row) -> napi::Result<ArrayBuffer<'env>> {
    shared(env, row.address(), row.clone())
}

/// The scoreboard's header for JavaScript, likewise.
fn header<'env>(env: &'env napi::Env, header: &Header) -> napi::Result<ArrayBuffer<'env>> {
    shared(env, header.address(), header.clone())
}

/// `owner` is a row or the header, which lies at `address`.
fn shared<T: 'static>(
    env: &napi::Env,
    address: *mut u8,
    owner: T,
) -> napi::Result<ArrayBuffer<'_>> {
    // SAFETY: at `address` are ROW_BYTES of shared memory that stay mapped while `owner` lives, which is until the finalizer drops
    // it; all other accesses are atomic, and JavaScript's are whole, aligned doubles.
    #[allow(unsafe_code)]
    unsafe {
        ArrayBuffer::from_external(env, address, ROW_BYTES, owner, |_, owner| drop(owner))
    }
}

fn fail(error: ClusterError) -> napi::Error {
    let message = serde_json::json!({ "code": error.code(), "message": error.to_string() });
    napi::Error::from_reason(message.to_string())
}

/// For what only our own JavaScript can get wrong.
fn misuse(error: impl std::fmt::Display) -> napi::Error {
    napi::Error::new(napi::Status::InvalidArg, error.to_string())
}

fn parse<T: DeserializeOwned>(json: &str) -> napi::Result<T> {
    serde_json::from_str(json).map_err(misuse)
}

fn print(value: &impl serde::Serialize) -> napi::Result<String> {
    serde_json::to_string(value).map_err(misuse)
}
