//! The monitor URI for JavaScript, which probes it for the health check on the app's port.
//!
//! A worker loads this addon for it alone, and only where the option `ecv.monitor` is set.

use std::sync::Arc;

use cluster2_rs::config::EcvOptions;
use cluster2_rs::health::MonitorUri;
use cluster2_rs::os::thread;
use cluster2_shared_addon::convert::{misuse, parse};
use napi::bindgen_prelude::Object;
use napi::{Env, JsDeferred};
use napi_derive::napi;
use serde_json::json;

/// The monitor URI of this process's app.
#[napi]
pub struct NativeMonitorUri(Arc<MonitorUri>);

#[napi]
impl NativeMonitorUri {
    /// `config` is the option `ecv` of the normalised options, `endpoint` an `Endpoint` of
    /// `src/protocol/endpoint.rs`, both as JSON.
    #[napi(constructor)]
    pub fn new(config: String, endpoint: String) -> napi::Result<Self> {
        let config: EcvOptions = parse(&config)?;
        let uri = MonitorUri::new(&config);
        uri.set_app(parse(&endpoint)?);
        Ok(Self(Arc::new(uri)))
    }

    /// Probes it. Resolves to JSON: `{"problem"}`, or
    /// `{"answered": {"status", "headers", "body"} | null}`.
    #[napi(ts_return_type = "Promise<string>")]
    pub fn probe<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        let (deferred, promise): (JsDeferred<String, _>, _) = env.create_deferred()?;
        let uri = Arc::clone(&self.0);
        // On a thread of its own, so that an app that keeps libuv's pool busy stays healthy.
        let run = move || {
            let result = match uri.probe_blocking() {
                Ok(answered) => json!({ "answered": answered }),
                Err(problem) => json!({ "problem": problem }),
            };
            deferred.resolve(move |_| Ok(result.to_string()));
        };
        thread::start("cluster2-probe", run).map_err(misuse)?;
        Ok(promise)
    }
}
