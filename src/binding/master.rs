//! The master for JavaScript.

use std::sync::{Arc, Weak};

use napi_derive::napi;
use serde_json::json;

use super::front::{AddonFront, Listener, Strong};
use super::{fail, parse, print};
use crate::ipc::control::{Command, seal};
use crate::runtime::log;
use crate::runtime::master::Master;

/// A running cluster.
#[napi]
pub struct NativeMaster {
    master: Master,
    listener: Weak<Strong>,
}

#[napi]
impl NativeMaster {
    /// Starts a cluster. `config` comes from `normalizeOptions`; `launch` says how workers are started; `about` is `About` of
    /// `src/runtime/status.rs`. `listener` gets every event as JSON, and keeps the event loop alive while the cluster runs.
    #[napi(constructor)]
    pub fn new(config: String, launch: String, about: String, listener: Strong) -> napi::Result<Self> {
        log::start();
        let listener = Arc::new(listener);
        let weak = Arc::downgrade(&listener);
        let front = Arc::new(AddonFront(listener));
        let master = Master::start(parse(&config)?, parse(&launch)?, parse(&about)?, front).map_err(fail)?;
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
                    listener.hear(text);
                }
            }),
        );
        Ok(())
    }

    /// From now on the monitor's requests come as events `{"type": "visitor", "fd"}` first.
    #[napi]
    pub fn forward_to_app(&self) {
        self.master.forward_to_app();
    }

    /// The monitor app took what came as `visitor`.
    #[napi]
    pub fn visitor_taken(&self) {
        self.master.visitor_taken();
    }

    /// The answer to the event `{"type": "validate", "id", …}`: what the validator found wrong, if anything.
    #[napi]
    pub fn validated(&self, id: u32, problem: Option<String>) {
        self.master.validated(id, problem);
    }
}
