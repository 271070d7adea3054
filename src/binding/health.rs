//! The health check for JavaScript, which answers it on the app's port.

use std::sync::Arc;

use napi::bindgen_prelude::Object;
use napi::{Env, JsDeferred};
use napi_derive::napi;
use serde_json::json;

use crate::binding::{misuse, parse};
use crate::config;
use crate::embedder::Answered;
use crate::health::check::{Answer, Client, Ecv, Route};
use crate::health::verdict::Check;
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
pub struct NativeEcv {
    check: Arc<Check>,
}

impl NativeEcv {
    /// `config` is the option `ecv` of the normalised options, `place` an `Endpoint` of `src/protocol/endpoint.rs`.
    pub fn new(config: &str, place: &str, header: Header) -> napi::Result<Self> {
        let config: config::EcvOptions = parse(config)?;
        let check = Check::new(&config, header);
        check.aim(parse(place)?);
        Ok(Self { check: Arc::new(check) })
    }
}

/// An answer to be written: status, reason, body, and then names and values of the headers in turn.
fn print(answer: Answer) -> Vec<String> {
    let reason = answer.reason().to_owned();
    let mut texts = vec![answer.status.to_string(), reason, answer.body];
    for (name, value) in answer.headers {
        texts.extend([name.to_owned(), value]);
    }
    texts
}

#[napi]
impl NativeEcv {
    /// Returns what a request is for.
    #[napi]
    pub fn route(&self, method: String, target: String) -> NativeRoute {
        match self.check.ecv.route(&method, &target) {
            None => NativeRoute::App,
            Some(Route::Check) => NativeRoute::Check,
            Some(Route::Switch { disabled: false }) => NativeRoute::Enable,
            Some(Route::Switch { disabled: true }) => NativeRoute::Disable,
        }
    }

    /// The answer to a check that came in at our `ip` and `port` and found `problem`; see `print`.
    #[napi]
    pub fn answer(&self, ip: String, port: String, problem: Option<String>) -> Vec<String> {
        print(self.check.answer(&ip, &port, problem.as_deref()))
    }

    /// Asks the monitor URI. Resolves to JSON: `{"problem"}`, or `{"answered": {"status", "headers", "body"} | null}`.
    #[napi(ts_return_type = "Promise<string>")]
    pub fn probe<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        let (deferred, promise): (JsDeferred<String, _>, _) = env.create_deferred()?;
        let check = Arc::clone(&self.check);
        // A thread of its own for the moment, so that an app which keeps libuv's pool busy is not taken for a sick one.
        let run = move || {
            let found = probe(&check);
            deferred.resolve(move |_| Ok(found));
        };
        thread::start("cluster2-probe", run).map_err(misuse)?;
        Ok(promise)
    }

    /// Whether this client may switch: `undefined`, or the answer that refuses. `client`: its address, `undefined` on a unix socket, empty
    /// if it is gone already.
    #[napi]
    pub fn refusal(
        &self,
        client: Option<String>,
        authorization: Option<String>,
        from_a_page: bool,
    ) -> Option<Refused> {
        let who = client
            .as_deref()
            .map_or(Client::Unix, |client| client.parse().map_or(Client::Unknown, Client::At));
        let refusal = self
            .check
            .ecv
            .admit(who, authorization.as_deref().map(str::as_bytes), from_a_page)
            .err()?;
        let warning = self.check.refused(refusal, &who.to_string());
        Some(Refused { answer: print(Ecv::refused(refusal, self.check.since())), warning })
    }

    /// Switches, for all processes of the cluster at once.
    #[napi]
    pub fn switch(&self, disabled: bool) -> Switched {
        let changed = self.check.switch(disabled);
        Switched { changed, answer: print(Ecv::switched(self.check.since())) }
    }
}

/// Who may not switch.
#[napi(object)]
pub struct Refused {
    /// To be written.
    pub answer: Vec<String>,
    /// To be told, if it is time for it.
    pub warning: Option<String>,
}

/// What a switch did.
#[napi(object)]
pub struct Switched {
    /// Whether it was the other way before.
    pub changed: bool,
    /// To be written.
    pub answer: Vec<String>,
}

fn probe(check: &Check) -> String {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build();
    let found = match runtime {
        Ok(runtime) => {
            let found = runtime.block_on(check.probe());
            // A name service that does not answer is left behind.
            runtime.shutdown_background();
            found
        }
        Err(error) => Err(format!("the probe cannot start: {error}")),
    };
    let problem = |answered: &Option<Answered>| answered.as_ref().and_then(Answered::problem);
    match found.and_then(|answered| problem(&answered).map_or(Ok(answered), Err)) {
        Ok(answered) => json!({ "answered": answered }).to_string(),
        Err(problem) => json!({ "problem": problem }).to_string(),
    }
}
