//! The master for JavaScript.

use std::sync::Arc;

use cluster2_rs::embedder::Mailbox;
use cluster2_rs::error::Result;
use cluster2_rs::log;
use cluster2_rs::master::{Master, Signal};
use cluster2_rs::os::origin::ProcessOrigin;
use cluster2_rs::protocol::control::{Command, seal};
use cluster2_shared_addon::convert::{fail, misuse, parse, print};
use napi::bindgen_prelude::Object;
use napi::{Env, JsDeferred};
use napi_derive::napi;

use crate::embedder::{self, AddonEmbedder, StrongWake};

/// A running cluster.
#[napi]
pub struct NativeMaster {
    master: Master,
    mailbox: Arc<Mailbox>,
}

#[napi]
impl NativeMaster {
    /// Starts a cluster. `config` comes from `normalizeOptions`; `launch` says how workers are
    /// started; `about` is `AppInfo` of `src/status.rs`. `wake` is called when there are events to
    /// `take`, and keeps the event loop alive while the cluster runs.
    #[napi(constructor)]
    pub fn new(
        config: String,
        launch: String,
        about: String,
        wake: StrongWake,
    ) -> napi::Result<Self> {
        log::start();
        let (embedder, mailbox) = AddonEmbedder::new(wake);
        let (config, launch, about) = (parse(&config)?, parse(&launch)?, parse(&about)?);
        let master =
            Master::start(config, launch, about, ProcessOrigin::read(), embedder).map_err(fail)?;
        Ok(Self { master, mailbox })
    }

    /// Takes the next events, as a JSON array; see `MasterEvent` of `src/embedder/events.rs`.
    /// `null`: there are none, and `wake` is called when there are.
    #[napi]
    pub fn take(&self) -> napi::Result<Option<String>> {
        embedder::take(&self.mailbox)
    }

    /// Sends a command to the cluster. Resolves to `{"ok"}` or `{"error"}` as JSON, or to `null` if
    /// the cluster ended before it answered.
    #[napi(ts_return_type = "Promise<string | null>")]
    pub fn command<'env>(&self, env: &'env Env, command: String) -> napi::Result<Object<'env>> {
        let command: Command = parse(&command)?;
        let (deferred, promise) = env.create_deferred()?;
        let answer = Answer(Some(deferred));
        self.master.command(command, Box::new(move |result| answer.give(&result)));
        Ok(promise)
    }

    /// Does what a signal requests: `shutdown`, `stop`, `reload` or `reopenLogs`. Never refused,
    /// and not answered.
    #[napi]
    pub fn signal(&self, signal: String) -> napi::Result<()> {
        self.master.signal(match signal.as_str() {
            "shutdown" => Signal::Shutdown,
            "stop" => Signal::Stop,
            "reload" => Signal::Reload,
            "reopenLogs" => Signal::ReopenLogs,
            other => return Err(misuse(format!("no signal: {other}"))),
        });
        Ok(())
    }

    /// From now on each connection of the monitor comes as an event `{"type": "visitor", "fd"}`.
    #[napi]
    pub fn forward_to_app(&self) {
        self.master.forward_to_app();
    }

    /// The monitor app took a connection that came as `visitor`.
    #[napi]
    pub fn visitor_taken(&self) {
        self.master.visitor_taken();
    }

    /// Answers the event `{"type": "validate", "id", …}` with the problem that the validator found,
    /// if any.
    #[napi]
    pub fn validated(&self, id: u32, problem: Option<String>) {
        self.master.validated(id, problem);
    }
}

type Resolve = Box<dyn FnOnce(Env) -> napi::Result<Option<String>> + Send>;

/// The promise of an answer. If it is dropped before, it resolves to `null`.
struct Answer(Option<JsDeferred<Option<String>, Resolve>>);

impl Answer {
    fn give(mut self, result: &Result<serde_json::Value>) {
        self.resolve(print(&seal(result)).ok());
    }

    fn resolve(&mut self, answer: Option<String>) {
        if let Some(deferred) = self.0.take() {
            deferred.resolve(Box::new(move |_| Ok(answer)));
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.resolve(None);
    }
}
