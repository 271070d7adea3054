//! Options, and the rules that the command line keeps too.

use std::path::Path;

use cluster2_rs::config::{self, Config};
use cluster2_rs::error::ErrorCode;
use cluster2_rs::os::address;
use napi_derive::napi;

use crate::convert::{fail, parse, print};

/// What stands before the name of a socket that the service manager passed, in place of a path.
#[napi]
pub const INHERITED: &str = config::INHERITED;

/// A second SIGINT stops the cluster at once if it comes later than this after the first,
/// milliseconds.
#[napi]
pub const SECOND_INTERRUPT_AFTER: u32 = config::SECOND_INTERRUPT_AFTER.as_millis() as u32;

/// Checks the user's options and fills in the defaults; see `Config::from_json`.
#[napi]
pub fn normalize_options(options: String) -> napi::Result<String> {
    let config = Config::from_json(&parse(&options)?).map_err(fail)?;
    print(&config)
}

/// Returns the IP address of a `host` option.
#[napi]
pub fn resolve_host(host: String) -> napi::Result<String> {
    address::resolve(&host).map(|address| address.to_string()).map_err(fail)
}

/// Returns the root of the app whose script is in `directory`; see `app_root` of
/// `src/config/rules.rs`.
#[napi]
pub fn app_root(directory: String) -> String {
    config::app_root(Path::new(&directory)).to_string_lossy().into_owned()
}

/// Returns all error codes, `CLUSTER2_ERR_…`, also those that only JavaScript throws.
#[napi]
pub fn error_codes() -> Vec<&'static str> {
    ErrorCode::ALL.iter().map(|code| code.as_str()).collect()
}
