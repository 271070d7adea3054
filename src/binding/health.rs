//! The health check for JavaScript, which answers it on the app's port.

use std::sync::Arc;

use napi::bindgen_prelude::Object;
use napi::{Env, JsDeferred};
use napi_derive::napi;
use serde_json::json;

use super::convert::{misuse, parse};
use crate::config;
use crate::health::{Client, HealthAnswer, HealthCheck, Route, SwitchRequest};
use crate::os::scoreboard::Header;
use crate::os::thread;

/// What a request is for.
#[napi(js_name = "Route")]
pub enum NativeRoute {
    /// The app.
    App,
    /// The health check.
    Check,
    /// The switch of the health check, to on.
    Enable,
    /// The switch of the health check, to off.
    Disable,
}

/// The health check of this process's app.
#[napi]
pub struct NativeHealthCheck {
    check: Arc<HealthCheck>,
}

impl NativeHealthCheck {
    /// `config` is the option `ecv` of the normalised options, `endpoint` an `Endpoint` of
    /// `src/protocol/endpoint.rs`, both as JSON.
    pub fn new(config: &str, endpoint: &str, header: Header) -> napi::Result<Self> {
        let config: config::EcvOptions = parse(config)?;
        let check = HealthCheck::new(&config, header);
        check.set_app(parse(endpoint)?);
        Ok(Self { check: Arc::new(check) })
    }
}

/// An answer that JavaScript writes.
#[napi(object)]
pub struct NativeHealthAnswer {
    /// The status code.
    pub status: u16,
    /// The reason phrase of the status line.
    pub reason: String,
    /// Names and values in turn.
    pub headers: Vec<String>,
    /// Empty for 204.
    pub body: String,
}

impl From<HealthAnswer> for NativeHealthAnswer {
    fn from(answer: HealthAnswer) -> Self {
        Self {
            status: answer.status,
            reason: answer.reason().to_owned(),
            headers: answer
                .headers
                .into_iter()
                .flat_map(|(name, value)| [name.to_owned(), value])
                .collect(),
            body: answer.body,
        }
    }
}

/// The outcome of a request to switch.
#[napi(object)]
pub struct NativeSwitched {
    /// The answer to the client.
    pub answer: NativeHealthAnswer,
    /// Whether it was switched the other way before.
    pub changed: bool,
    /// A warning for the operator, if a refusal must be reported now.
    pub warning: Option<String>,
}

#[napi]
impl NativeHealthCheck {
    /// Returns what a request is for.
    #[napi]
    pub fn route(&self, method: String, target: String) -> NativeRoute {
        match self.check.route(&method, &target) {
            None => NativeRoute::App,
            Some(Route::Check) => NativeRoute::Check,
            Some(Route::Enable) => NativeRoute::Enable,
            Some(Route::Disable) => NativeRoute::Disable,
        }
    }

    /// Answers a check that arrived at our `ip` and `port` and found `problem`.
    #[napi]
    pub fn answer(&self, ip: String, port: String, problem: Option<String>) -> NativeHealthAnswer {
        self.check.answer(&ip, &port, problem.as_deref()).into()
    }

    /// Probes the monitor URI. Resolves to JSON: `{"problem"}`, or
    /// `{"answered": {"status", "headers", "body"} | null}`.
    #[napi(ts_return_type = "Promise<string>")]
    pub fn probe<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        let (deferred, promise): (JsDeferred<String, _>, _) = env.create_deferred()?;
        let check = Arc::clone(&self.check);
        // On a thread of its own, so that an app that keeps libuv's pool busy stays healthy.
        let run = move || {
            let result = match check.probe_blocking() {
                Ok(answered) => json!({ "answered": answered }),
                Err(problem) => json!({ "problem": problem }),
            };
            deferred.resolve(move |_| Ok(result.to_string()));
        };
        thread::start("cluster2-probe", run).map_err(misuse)?;
        Ok(promise)
    }

    /// Switches for all processes of the cluster at once, if the client may. `client` is its
    /// address: `undefined` on a unix socket, empty if the client has gone already. `from_page`
    /// says whether a browser sends the request for a web page.
    #[napi]
    pub fn switch(
        &self,
        disabled: bool,
        client: Option<String>,
        authorization: Option<String>,
        from_page: bool,
    ) -> NativeSwitched {
        let switched = self.check.switch(SwitchRequest {
            disabled,
            client: client.as_deref().map_or(Client::Unix, Client::parse),
            authorization: authorization.as_deref().map(str::as_bytes),
            from_page,
        });
        NativeSwitched {
            answer: switched.answer.into(),
            changed: switched.changed,
            warning: switched.warning,
        }
    }
}
