//! Commands to a cluster in another process, for JavaScript: a promise, worked off on libuv's pool.

use std::path::PathBuf;

use napi::bindgen_prelude::AsyncTask;
use napi::{Env, Task};
use napi_derive::napi;

use crate::binding::{fail, parse, print};
use crate::protocol::control::Command;
use crate::remote::client;

/// One command under way.
pub struct Ask {
    pids: PathBuf,
    command: Command,
}

impl Task for Ask {
    type Output = String;
    type JsValue = String;

    fn compute(&mut self) -> napi::Result<String> {
        print(&client::ask(&self.pids, &self.command).map_err(fail)?)
    }

    fn resolve(&mut self, _env: Env, output: String) -> napi::Result<String> {
        Ok(output)
    }
}

/// Asks the cluster that runs in the directory `pids`; resolves to the answer as JSON.
#[napi]
pub fn ask(pids: String, command: String) -> napi::Result<AsyncTask<Ask>> {
    Ok(AsyncTask::new(Ask { pids: pids.into(), command: parse(&command)? }))
}
