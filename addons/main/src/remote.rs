//! Commands to a cluster in another process. JavaScript gets a promise; libuv's pool does the work.

use std::path::PathBuf;

use cluster2_rs::protocol::control::Command;
use cluster2_rs::remote;
use cluster2_shared_addon::convert::{fail, parse, print};
use napi::bindgen_prelude::AsyncTask;
use napi::{Env, Task};
use napi_derive::napi;

/// One command under way.
pub struct AskTask {
    pids: PathBuf,
    command: Command,
}

impl Task for AskTask {
    type Output = String;
    type JsValue = String;

    fn compute(&mut self) -> napi::Result<String> {
        print(&remote::ask(&self.pids, &self.command).map_err(fail)?)
    }

    fn resolve(&mut self, _env: Env, output: String) -> napi::Result<String> {
        Ok(output)
    }
}

/// Sends `command` to the cluster of the directory `pids`. Resolves to the answer as JSON.
#[napi]
pub fn ask(pids: String, command: String) -> napi::Result<AsyncTask<AskTask>> {
    Ok(AsyncTask::new(AskTask { pids: pids.into(), command: parse(&command)? }))
}
