//! Which requests are the health check's.

use crate::config;

/// A request of the health check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// `GET` or `HEAD <path>`.
    Check,
    /// `POST <path>/enable`.
    Enable,
    /// `POST <path>/disable`.
    Disable,
}

#[derive(Debug)]
pub(super) struct Routes {
    /// The option `ecv.path` without a slash at its end.
    path: String,
    /// The option `ecv.control`.
    control: bool,
}

impl Routes {
    pub(super) fn new(config: &config::EcvOptions) -> Self {
        let path = config.path.trim_end_matches('/').to_owned();
        Self { path, control: config.control }
    }

    /// Returns `None` for a request of the app.
    pub(super) fn find(&self, method: &str, target: &str) -> Option<Route> {
        let rest = path_of(target).strip_prefix(self.path.as_str())?;
        match (method, rest) {
            ("GET" | "HEAD", "" | "/") => Some(Route::Check),
            ("POST", "/disable") if self.control => Some(Route::Disable),
            ("POST", "/enable") if self.control => Some(Route::Enable),
            _ => None,
        }
    }
}

/// Returns whether a request, by its method and target, is the health check's, or one by which it
/// probes the app: for its path, from any client.
pub(crate) fn is_of_health_check(
    config: &config::EcvOptions,
) -> impl Fn(&str, &str) -> bool + use<> {
    let routes = Routes::new(config);
    let monitor = config.monitor.as_deref().map(|monitor| path_of(monitor).to_owned());
    move |method, target| {
        routes.find(method, target).is_some() || monitor.as_deref() == Some(path_of(target))
    }
}

/// Returns the path of a request's target, which is a whole URL if a proxy sent it (RFC 9112,
/// 3.2.2).
fn path_of(target: &str) -> &str {
    let path = target.split(['?', '#']).next().unwrap_or_default();
    match path.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('/') => {
            rest.find('/').map_or("/", |at| &rest[at..])
        }
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_is_known_by_its_path() {
        for monitor in ["/health?deep=1", "http://127.0.0.1:3000/health"] {
            let options = serde_json::json!({ "ecv": { "monitor": monitor } });
            let config = config::Config::from_json(&options).unwrap().ecv.unwrap();
            let is_of_health_check = is_of_health_check(&config);
            for target in ["/health?deep=1", "/health", "/ecv"] {
                assert!(is_of_health_check("GET", target), "{monitor} {target}");
            }
            assert!(!is_of_health_check("GET", "/") && !is_of_health_check("POST", "/ecv"));
        }
    }

    fn routes(control: bool) -> Routes {
        let options = serde_json::json!({ "ecv": { "control": control } });
        Routes::new(&config::Config::from_json(&options).unwrap().ecv.unwrap())
    }

    #[test]
    fn only_its_own_requests_are_the_health_checks() {
        let on = routes(true);
        for own in
            ["/ecv", "/ecv/", "/ecv?x=1", "http://example.com/ecv", "HTTP://[::1]:3000/ecv?x"]
        {
            assert_eq!(on.find("GET", own), Some(Route::Check), "{own}");
            assert_eq!(on.find("HEAD", own), Some(Route::Check), "{own}");
        }
        assert_eq!(on.find("POST", "/ecv/disable"), Some(Route::Disable));
        assert_eq!(on.find("POST", "/ecv/enable?now"), Some(Route::Enable));
        let others = [
            ("GET", "http://ecv"),
            ("GET", "/x://y/ecv"),
            ("GET", "/ecvs"),
            ("GET", "/ecv/disable"),
            ("POST", "/ecv"),
            ("GET", "/"),
            ("PUT", "/ecv/enable"),
        ];
        for (method, target) in others {
            assert_eq!(on.find(method, target), None, "{method} {target}");
        }
        assert_eq!(
            routes(false).find("POST", "/ecv/disable"),
            None,
            "without control it is the app's"
        );
    }
}
