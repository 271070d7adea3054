//! The health check for JavaScript, which answers it on the app's port.

use cluster2_rs::config::EcvOptions;
use cluster2_rs::health::{Client, HealthAnswer, HealthCheck, Route, SwitchRequest};
use cluster2_rs::os::scoreboard::Header;
use napi_derive::napi;

use crate::convert::parse;

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
    check: HealthCheck,
}

impl NativeHealthCheck {
    /// `config` is the option `ecv` of the normalised options, as JSON.
    pub fn new(config: &str, header: Header) -> napi::Result<Self> {
        let config: EcvOptions = parse(config)?;
        Ok(Self { check: HealthCheck::new(&config, header) })
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
