//! Values and errors on their way to JavaScript and back, as JSON.
//!
//! Errors are thrown with a JSON message (`{"code", "message"}`), which `lib/errors.js` turns into
//! a `ClusterError`.

use cluster2_rs::error::ClusterError;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Returns what JavaScript throws for an error.
pub fn fail(error: ClusterError) -> napi::Error {
    let message = serde_json::json!({ "code": error.code(), "message": error.message() });
    napi::Error::from_reason(message.to_string())
}

/// Returns what JavaScript throws for a wrong call of our own JavaScript.
pub fn misuse(error: impl std::fmt::Display) -> napi::Error {
    napi::Error::new(napi::Status::InvalidArg, error.to_string())
}

/// Reads JSON of our own JavaScript.
pub fn parse<T: DeserializeOwned>(json: &str) -> napi::Result<T> {
    serde_json::from_str(json).map_err(misuse)
}

/// Writes JSON.
pub fn print(value: &impl Serialize) -> napi::Result<String> {
    serde_json::to_string(value).map_err(misuse)
}
