//! A process without workers, for JavaScript.

use std::sync::Arc;
use std::time::Duration;

use cluster2_rs::embedder::Mailbox;
use cluster2_rs::error::ClusterError;
use cluster2_rs::health::HealthChecker;
use cluster2_rs::log;
use cluster2_rs::os::node_listener;
use cluster2_rs::single::Single;
use cluster2_shared_addon::convert::{fail, parse, print};
use cluster2_shared_addon::health::NativeHealthCheck;
use cluster2_shared_addon::shared_memory;
use napi::Env;
use napi::bindgen_prelude::ArrayBuffer;
use napi_derive::napi;

use crate::embedder::{self, AddonEmbedder, WeakWake};

/// This process, serving alone.
#[napi]
pub struct NativeSingle {
    single: Single,
    mailbox: Arc<Mailbox>,
    health_checker: Option<Arc<HealthChecker>>,
}

#[napi]
impl NativeSingle {
    /// Binds the monitor's port. `config` comes from `normalizeOptions`, `about` is `AppInfo` of
    /// `src/status.rs`. `wake` is called when there are events to `take`, and does not keep the
    /// event loop alive.
    #[napi(constructor)]
    pub fn new(config: String, about: String, wake: WeakWake) -> napi::Result<Self> {
        log::start();
        let (embedder, mailbox) = AddonEmbedder::new(wake);
        let single = Single::bind(parse(&config)?, parse(&about)?, embedder).map_err(fail)?;
        Ok(Self { single, mailbox, health_checker: None })
    }

    /// As `take` of `NativeMaster`.
    #[napi]
    pub fn take(&self) -> napi::Result<Option<String>> {
        embedder::take(&self.mailbox)
    }

    /// The app listens at `endpoints` (`Endpoint` of `src/protocol/endpoint.rs`): from now on the
    /// monitor answers.
    #[napi]
    pub fn serve(&mut self, endpoints: String, has_app: bool) -> napi::Result<()> {
        self.health_checker = self.single.serve(parse(&endpoints)?, has_app).map_err(fail)?;
        Ok(())
    }

    /// Returns the health check; see `NativeHealthCheck::new`.
    #[napi]
    pub fn health_check(&self, config: String) -> napi::Result<NativeHealthCheck> {
        NativeHealthCheck::new(&config, self.single.header())
    }

    /// The last health check found this problem, or none.
    #[napi]
    pub fn checked(&self, problem: Option<String>) {
        self.single.checked(problem);
    }

    /// The health check was switched on the app's port, on behalf of `by`.
    #[napi]
    pub fn switched(&self, disabled: bool, by: String) {
        self.single.switched(disabled, by);
    }

    /// Switches the health check. Returns the answer of `disable()` and `enable()`, as JSON.
    #[napi(js_name = "switch")]
    pub fn switch_check(&self, disabled: bool) -> napi::Result<String> {
        print(&self.single.switch(disabled).map_err(fail)?)
    }

    /// The monitor app took a connection that came as `visitor`.
    #[napi]
    pub fn visitor_taken(&self) {
        self.single.visitor_taken();
    }

    /// Answers the event `{"type": "validate", "id", …}`.
    #[napi]
    pub fn validated(&self, id: u32, problem: Option<String>) {
        if let Some(checker) = &self.health_checker {
            checker.validated(id, problem);
        }
    }

    /// Makes a beat; call it every `interval` milliseconds. In a worker the event loop does so
    /// itself; a single process may be a thread, whose event loop ends before the process does.
    #[napi]
    pub fn beat(&mut self, env: &Env, interval: u32) -> napi::Result<()> {
        let event_loop = env.get_uv_event_loop()?.cast();
        self.single.beat(Duration::from_millis(u64::from(interval)), event_loop);
        Ok(())
    }

    /// Returns the answer of `status()`, as JSON.
    #[napi]
    pub fn status(&self) -> napi::Result<String> {
        print(&self.single.status())
    }

    /// A shutdown begins.
    #[napi]
    pub fn leave(&self) {
        self.single.leave();
    }

    /// Refuses new clients on a listening TCP socket; Node can still accept the clients in its
    /// queue, and those whose handshakes are under way. Returns true: they are worth waiting for.
    #[napi]
    pub fn refuse_new(&self, fd: i32) -> napi::Result<bool> {
        node_listener::refuse_new(fd)
            .map_err(ClusterError::system("refusing new connections"))
            .map_err(fail)?;
        Ok(true)
    }

    /// Whether a client waits in the queue of any of these listening sockets.
    #[napi]
    pub fn has_waiting(&self, fds: Vec<i32>) -> napi::Result<bool> {
        for fd in fds {
            let waits = node_listener::has_waiting(fd)
                .map_err(ClusterError::system("looking into a queue"))
                .map_err(fail)?;
            if waits {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Ends the monitor.
    #[napi]
    pub fn end(&mut self) {
        self.single.end();
    }

    /// Returns the scoreboard's header, as the shared memory itself. Its first two numbers: when
    /// the health check was last switched, milliseconds since 1970, negative if off; and when the
    /// shutdown started, or 0.
    #[napi]
    pub fn header<'env>(&self, env: &'env Env) -> napi::Result<ArrayBuffer<'env>> {
        shared_memory::header(env, &self.single.header())
    }

    /// Returns the row of numbers, as the shared memory itself.
    #[napi]
    pub fn row<'env>(&self, env: &'env Env) -> napi::Result<ArrayBuffer<'env>> {
        shared_memory::row(env, self.single.row())
    }
}
