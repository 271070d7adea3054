//! A process without workers, for JavaScript.

use std::sync::Arc;
use std::time::Duration;

use napi::Env;
use napi::bindgen_prelude::ArrayBuffer;
use napi_derive::napi;

use crate::binding::embedder::{AddonFront, Weak};
use crate::binding::health::NativeEcv;
use crate::binding::{embedder, fail, parse, print};
use crate::embedder::mailbox::Mailbox;
use crate::error::ClusterError;
use crate::health::verdict::HealthChecker;
use crate::log;
use crate::os::node_listener;
use crate::single::Single;

/// This process, serving alone.
#[napi]
pub struct NativeSingle {
    single: Single,
    mailbox: Arc<Mailbox>,
    judge: Option<Arc<HealthChecker>>,
}

#[napi]
impl NativeSingle {
    /// Binds the monitor's port. `config` comes from `normalizeOptions`, `about` is `About` of `src/snapshot.rs`. `wake`
    /// is called when there is something to `take`, and does not keep the event loop alive.
    #[napi(constructor)]
    pub fn new(config: String, about: String, wake: Weak) -> napi::Result<Self> {
        log::start();
        let (embedder, mailbox) = AddonFront::new(wake);
        let single = Single::bind(parse(&config)?, parse(&about)?, embedder).map_err(fail)?;
        Ok(Self { single, mailbox, judge: None })
    }

    /// As `take` of `NativeMaster`.
    #[napi]
    pub fn take(&self) -> napi::Result<Option<String>> {
        embedder::take(&self.mailbox)
    }

    /// The app listens at `places` (`Endpoint` of `src/protocol/endpoint.rs`): from now on the monitor answers.
    #[napi]
    pub fn serve(&mut self, places: String, has_app: bool) -> napi::Result<()> {
        self.judge = self.single.serve(parse(&places)?, has_app).map_err(fail)?;
        Ok(())
    }

    /// The health check, for the app's port.
    #[napi]
    pub fn ecv(&self, config: String, place: String) -> napi::Result<NativeEcv> {
        NativeEcv::new(&config, &place, self.single.header())
    }

    /// The last health check found this, or nothing.
    #[napi]
    pub fn checked(&self, problem: Option<String>) {
        self.single.checked(problem);
    }

    /// The health check was switched on the app's port, on behalf of `by`.
    #[napi]
    pub fn switched(&self, disabled: bool, by: String) {
        self.single.switched(disabled, by);
    }

    /// Switches the health check; the answer to `disable()` and `enable()`, as JSON.
    #[napi(js_name = "switch")]
    pub fn switch_check(&self, disabled: bool) -> napi::Result<String> {
        print(&self.single.switch(disabled).map_err(fail)?)
    }

    /// The monitor app took what came as `visitor`.
    #[napi]
    pub fn visitor_taken(&self) {
        self.single.visitor_taken();
    }

    /// The answer to the event `{"type": "validate", "id", …}`.
    #[napi]
    pub fn validated(&self, id: u32, problem: Option<String>) {
        if let Some(judge) = &self.judge {
            judge.validated(id, problem);
        }
    }

    /// Makes a beat; to be called each `interval` milliseconds. In a worker the event loop does so itself; a single process may be a thread's,
    /// whose event loop ends before the process does.
    #[napi]
    pub fn beat(&mut self, interval: u32) {
        self.single.beat(Duration::from_millis(u64::from(interval)));
    }

    /// What `status()` answers, as JSON.
    #[napi]
    pub fn status(&self) -> napi::Result<String> {
        print(&self.single.status())
    }

    /// A shutdown begins.
    #[napi]
    pub fn leave(&self) {
        self.single.leave();
    }

    /// Lets nobody new in on a listening TCP socket, of which Node goes on to accept who is in the queue.
    #[napi]
    pub fn refuse_new(fd: i32) -> napi::Result<()> {
        node_listener::refuse_new(fd)
            .map_err(ClusterError::system("refusing new connections"))
            .map_err(fail)
    }

    /// Whether somebody waits in the queue of a listening socket.
    #[napi]
    pub fn has_waiting(fd: i32) -> napi::Result<bool> {
        node_listener::has_waiting(fd)
            .map_err(ClusterError::system("looking into a queue"))
            .map_err(fail)
    }

    /// Ends the monitor.
    #[napi]
    pub fn end(&mut self) {
        self.single.end();
    }

    /// The scoreboard's header, as the shared memory itself: what a health check's answer depends on besides what a probe finds. Its first
    /// two numbers are since when it is switched as it is, milliseconds since 1970, negative if off, and since when the cluster shuts
    /// down, or 0.
    #[napi]
    pub fn header<'env>(&self, env: &'env Env) -> napi::Result<ArrayBuffer<'env>> {
        crate::binding::header(env, &self.single.header())
    }

    /// The row of numbers, as the shared memory itself.
    #[napi]
    pub fn row<'env>(&self, env: &'env Env) -> napi::Result<ArrayBuffer<'env>> {
        crate::binding::row(env, self.single.row())
    }
}
