//! The master for JavaScript.

use std::sync::{Arc, Weak};

use napi::Status;
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi_derive::napi;
use serde_json::{Value, json};

use super::{fail, parse, print, start_log};
use crate::ipc::control::{Command, seal};
use crate::runtime::master::Master;
use crate::runtime::{Front, Told};

/// Events that may wait for the master's event loop.
const MAX_WAITING: usize = 65_536;

type Listener = ThreadsafeFunction<String, (), String, Status, false, false, MAX_WAITING>;

/// Tells JavaScript. It keeps the event loop alive while the cluster runs, and lets it go with the supervisor's thread.
struct AddonFront(Arc<Listener>);

impl Front for AddonFront {
    fn tell(&self, told: Told) {
        if let Ok(text) = serde_json::to_string(&told) {
            call(&self.0, text);
        }
    }
}

fn call(listener: &Listener, text: String) {
    match listener.call(text, ThreadsafeFunctionCallMode::NonBlocking) {
        Status::Ok | Status::Closing => {}
        status => tracing::error!(%status, "an event was lost: the master's event loop does not keep up"),
    }
}

/// A running cluster.
#[napi]
pub struct NativeMaster {
    master: Master,
    listener: Weak<Listener>,
}

#[napi]
impl NativeMaster {
    /// Starts a cluster. `config` comes from `normalizeOptions`; `launch` says how workers are started; `about` is shown
    /// in `status()`. `listener` gets every event as JSON.
    #[napi(constructor)]
    pub fn new(config: String, launch: String, about: String, listener: Listener) -> napi::Result<Self> {
        start_log();
        let listener = Arc::new(listener);
        let weak = Arc::downgrade(&listener);
        let about: Value = parse(&about)?;
        let front = Box::new(AddonFront(listener));
        let master = Master::start(parse(&config)?, parse(&launch)?, about, front).map_err(fail)?;
        Ok(Self { master, listener: weak })
    }

    /// Asks the cluster something. The answer comes as an event `{"type": "answer", "id", "ok" | "error"}`.
    #[napi]
    pub fn command(&self, id: u32, command: String) -> napi::Result<()> {
        let command: Command = parse(&command)?;
        let listener = self.listener.clone();
        self.master.command(
            command,
            Box::new(move |result| {
                let mut answer = seal(&result);
                answer["type"] = json!("answer");
                answer["id"] = json!(id);
                if let (Some(listener), Ok(text)) = (listener.upgrade(), print(&answer)) {
                    call(&listener, text);
                }
            }),
        );
        Ok(())
    }
}
