//! The health check for load balancers (ECV, "extended content verification"): its requests, its answers, and who may switch it.
//!
//! No I/O but in `probe`. The answers are, byte for byte, those of the original's manual; whoever received the request writes them:
//! JavaScript on the app's port, the monitor on its own.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::config;
pub use crate::health::guard::Client;
pub use crate::health::guard::Guard;
pub use crate::health::guard::Refusal;

/// What load balancers are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Send clients: 200.
    Available,
    /// Something is wrong with the app: 500.
    Warning,
    /// Switched off, or shutting down: 400.
    Disabled,
}

/// What a request wants of the health check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// `GET` or `HEAD <path>`.
    Check,
    /// `POST <path>/enable` (false) or `<path>/disable` (true).
    Switch {
        /// The direction.
        disabled: bool,
    },
}

/// Where the request came in, as its client sees us.
#[derive(Debug, Clone)]
pub struct Place<'a> {
    /// The address of our end.
    pub ip: &'a str,
    /// The port, or the path of a unix socket.
    pub port: &'a str,
    /// Name of the machine.
    pub hostname: &'a str,
}

/// An answer, to be written as it is: the headers in this order, and no others than `Transfer-Encoding: chunked`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Names as they are to be written, and values.
    pub headers: Vec<(&'static str, String)>,
    /// Empty for 204.
    pub body: String,
}

impl Answer {
    /// Reason phrase of the status line.
    pub fn reason(&self) -> &'static str {
        hyper::StatusCode::from_u16(self.status)
            .ok()
            .and_then(|status| status.canonical_reason())
            .unwrap_or_default()
    }
}

/// The health check of one app.
#[derive(Debug, Clone)]
pub struct Ecv {
    pub(super) path: String,
    pub(super) control: bool,
    pub(super) guard: Guard,
}

impl Ecv {
    /// From the option `ecv`.
    pub fn new(config: &config::EcvOptions) -> Self {
        let path = config.path.trim_end_matches('/').to_owned();
        Self {
            path,
            control: config.control,
            guard: Guard::new(config.token.clone(), config.allow.as_deref()),
        }
    }

    /// Whether a request is the health check's; `None`: it is the app's.
    pub fn route(&self, method: &str, target: &str) -> Option<Route> {
        let path = path_of(target);
        let rest = path.strip_prefix(self.path.as_str())?;
        match (method, rest) {
            ("GET" | "HEAD", "" | "/") => Some(Route::Check),
            ("POST", "/disable") if self.control => Some(Route::Switch { disabled: true }),
            ("POST", "/enable") if self.control => Some(Route::Switch { disabled: false }),
            _ => None,
        }
    }

    /// Whether this client may switch; see [`Guard::admit`].
    pub fn admit(
        &self,
        client: Client,
        authorization: Option<&[u8]>,
        from_a_page: bool,
    ) -> Result<(), Refusal> {
        self.guard.admit(client, authorization, from_a_page)
    }

    /// The answer to a check. `since`, `now`: milliseconds since 1970; since when it is as it is.
    pub fn check(verdict: Verdict, since: u64, now: u64, place: &Place<'_>) -> Answer {
        let (status, word, traffic, connection) = match verdict {
            Verdict::Available => (200, "AVAILABLE", true, "keep-alive"),
            Verdict::Warning => (500, "WARNING", false, "close"),
            Verdict::Disabled => (400, "DISABLED", false, "close"),
        };
        let Place { ip, port, hostname } = place;
        let time = date(now);
        let body = format!(
            "status={word}&ServeTraffic={traffic}&ip={ip}&hostname={hostname}&port={port}&time={time}"
        );
        Answer { status, headers: headers(true, since, connection), body }
    }

    /// The answer to a switch.
    pub fn switched(since: u64) -> Answer {
        Answer { status: 204, headers: headers(false, since, "close"), body: String::new() }
    }

    /// The answer to whoever may not switch.
    pub fn refused(refusal: Refusal, since: u64) -> Answer {
        let mut headers = headers(true, since, "close");
        let body = match refusal {
            Refusal::Unauthorized => {
                headers.push(("WWW-Authenticate", "Bearer".to_owned()));
                "a bearer token is needed"
            }
            Refusal::Forbidden => "you may not switch the health check from there",
        };
        Answer { status: refusal.status(), headers, body: body.to_owned() }
    }
}

/// The path of a request's target, also where it is a whole URL, as proxies send it (RFC 9112, 3.2.2).
pub(super) fn path_of(target: &str) -> &str {
    let path = target.split(['?', '#']).next().unwrap_or_default();
    match path.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('/') => {
            rest.find('/').map_or("/", |at| &rest[at..])
        }
        _ => path,
    }
}

pub(super) fn headers(
    typed: bool,
    since: u64,
    connection: &'static str,
) -> Vec<(&'static str, String)> {
    let mut headers = vec![("X-Powered-By", "Cluster2".to_owned())];
    if typed {
        headers.push(("content-type", "text/plain".to_owned()));
    }
    headers.push(("since", date(since)));
    headers.push(("cache-control", "no-cache".to_owned()));
    headers.push(("Connection", connection.to_owned()));
    headers
}

/// A time as JavaScript's `Date` wrote it in the manual's day: `Fri May 18 2012 09:49:32 GMT-0700 (PDT)`, in the local zone.
pub(super) fn date(millis: u64) -> String {
    show(millis, TimeZone::system())
}

pub(super) fn show(millis: u64, zone: TimeZone) -> String {
    let time = Timestamp::from_millisecond(i64::try_from(millis).unwrap_or(i64::MAX))
        .unwrap_or_default()
        .to_zoned(zone);
    jiff::fmt::strtime::format("%a %b %d %Y %H:%M:%S GMT%z (%Z)", &time)
        .unwrap_or_else(|_| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ecv(control: bool) -> Ecv {
        let options = serde_json::json!({ "ecv": { "control": control } });
        Ecv::new(&config::Config::from_json(&options).unwrap().ecv.unwrap())
    }

    #[test]
    fn the_date_is_that_of_the_manual() {
        let zone = TimeZone::get("America/Los_Angeles").unwrap();
        assert_eq!(show(1_337_359_772_000, zone), "Fri May 18 2012 09:49:32 GMT-0700 (PDT)");
        assert_eq!(
            show(1_337_359_772_000, TimeZone::UTC),
            "Fri May 18 2012 16:49:32 GMT+0000 (UTC)"
        );
        assert!(!show(u64::MAX, TimeZone::UTC).is_empty());
    }

    #[test]
    fn only_its_own_requests_are_the_health_checks() {
        let on = ecv(true);
        for own in
            ["/ecv", "/ecv/", "/ecv?x=1", "http://example.com/ecv", "HTTP://[::1]:3000/ecv?x"]
        {
            assert_eq!(on.route("GET", own), Some(Route::Check), "{own}");
            assert_eq!(on.route("HEAD", own), Some(Route::Check), "{own}");
        }
        assert_eq!(on.route("POST", "/ecv/disable"), Some(Route::Switch { disabled: true }));
        assert_eq!(on.route("POST", "/ecv/enable?now"), Some(Route::Switch { disabled: false }));
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
            assert_eq!(on.route(method, target), None, "{method} {target}");
        }
        assert_eq!(
            ecv(false).route("POST", "/ecv/disable"),
            None,
            "without control it is the app's"
        );
    }

    #[test]
    fn the_answers_are_those_of_the_manual() {
        let place = Place { ip: "127.0.0.1", port: "3000", hostname: "somehost" };
        let answer = Ecv::check(Verdict::Available, 0, 0, &place);
        assert_eq!((answer.status, answer.reason()), (200, "OK"));
        let names: Vec<_> = answer.headers.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["X-Powered-By", "content-type", "since", "cache-control", "Connection"]);
        assert!(answer.body.starts_with(
            "status=AVAILABLE&ServeTraffic=true&ip=127.0.0.1&hostname=somehost&port=3000&time=Thu Jan 01 1970 "
        ));
        let answer = Ecv::check(Verdict::Disabled, 0, 0, &place);
        assert_eq!((answer.status, answer.reason()), (400, "Bad Request"));
        assert!(answer.body.starts_with("status=DISABLED&ServeTraffic=false&"));
        assert_eq!(Ecv::check(Verdict::Warning, 0, 0, &place).status, 500);
        let answer = Ecv::switched(0);
        let names: Vec<_> = answer.headers.iter().map(|(name, _)| *name).collect();
        assert_eq!(
            (answer.status, names),
            (204, vec!["X-Powered-By", "since", "cache-control", "Connection"])
        );
    }
}
