//! Commands to a cluster in another process, for JavaScript: a promise, worked off on libuv's pool.

use std::path::PathBuf;
use std::time::Duration;

use napi::bindgen_prelude::AsyncTask;
use napi::{Env, Task};
use napi_derive::napi;

use super::{fail, parse, print};
use crate::ipc::control::Command;
use crate::runtime::remote;

/// One command under way.
pub struct Ask {
    pids: PathBuf,
    command: Command,
    patience: Duration,
}

impl Task for Ask {
    type Output = String;
    type JsValue = String;

    fn compute(&mut self) -> napi::Result<String> {
        print(&remote::ask(&self.pids, &self.command, self.patience).map_err(fail)?)
    }

    fn resolve(&mut self, _env: Env, output: String) -> napi::Result<String> {
        Ok(output)
    }
}

/// Asks the cluster that runs in the directory `pids`; resolves to the answer as JSON. `patience`: milliseconds that
/// waiting for the end of a shutdown may take.
#[napi]
pub fn ask(pids: String, command: String, patience: u32) -> napi::Result<AsyncTask<Ask>> {
    let patience = Duration::from_millis(u64::from(patience));
    Ok(AsyncTask::new(Ask { pids: pids.into(), command: parse(&command)?, patience }))
}
