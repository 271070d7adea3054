//! The answers to load balancers and operators, as the original's manual shows them.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::guard::Refusal;

/// The state that load balancers see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Send clients: 200.
    Available,
    /// The app is unhealthy: 500.
    Warning,
    /// Switched off, or shutting down: 400.
    Disabled,
}

/// Our end of the connection, as its client sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct LocalEnd<'a> {
    pub(super) ip: &'a str,
    /// The port, or the path of a unix socket.
    pub(super) port: &'a str,
    pub(super) hostname: &'a str,
}

/// An answer with all its headers, in their order, except `Transfer-Encoding: chunked`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthAnswer {
    /// The status code.
    pub status: u16,
    /// Names, spelled as they are sent, and values.
    pub headers: Vec<(&'static str, String)>,
    /// Empty for 204.
    pub body: String,
}

impl HealthAnswer {
    /// Answers a check. `since` and `now` are milliseconds since 1970; `since` is the time of the
    /// last switch, or of the shutdown.
    pub(super) fn check(verdict: Verdict, since: u64, now: u64, local: LocalEnd<'_>) -> Self {
        let (status, word, traffic, connection) = match verdict {
            Verdict::Available => (200, "AVAILABLE", true, "keep-alive"),
            Verdict::Warning => (500, "WARNING", false, "close"),
            Verdict::Disabled => (400, "DISABLED", false, "close"),
        };
        let LocalEnd { ip, port, hostname } = local;
        let time = date(now);
        let body = format!(
            "status={word}&ServeTraffic={traffic}&ip={ip}&hostname={hostname}&port={port}\
             &time={time}"
        );
        Self { status, headers: headers(true, since, connection), body }
    }

    /// Answers a switch.
    pub(super) fn switched(since: u64) -> Self {
        Self { status: 204, headers: headers(false, since, "close"), body: String::new() }
    }

    /// Answers a client that may not switch.
    pub(super) fn refused(refusal: Refusal, since: u64) -> Self {
        let mut headers = headers(true, since, "close");
        let body = match refusal {
            Refusal::Unauthorized => {
                headers.push(("WWW-Authenticate", "Bearer".to_owned()));
                "a bearer token is needed"
            }
            Refusal::Forbidden => "you may not switch the health check from there",
        };
        Self { status: refusal.status(), headers, body: body.to_owned() }
    }

    /// Returns the reason phrase of the status line.
    pub fn reason(&self) -> &'static str {
        hyper::StatusCode::from_u16(self.status)
            .ok()
            .and_then(|status| status.canonical_reason())
            .unwrap_or_default()
    }
}

fn headers(has_body: bool, since: u64, connection: &'static str) -> Vec<(&'static str, String)> {
    let mut headers = vec![("X-Powered-By", "Cluster2".to_owned())];
    if has_body {
        headers.push(("content-type", "text/plain".to_owned()));
    }
    headers.push(("since", date(since)));
    headers.push(("cache-control", "no-cache".to_owned()));
    headers.push(("Connection", connection.to_owned()));
    headers
}

/// Formats a time as JavaScript's `Date` did when the manual was written, in the local time zone:
/// `Fri May 18 2012 09:49:32 GMT-0700 (PDT)`.
fn date(millis: u64) -> String {
    date_in(TimeZone::system(), millis)
}

fn date_in(zone: TimeZone, millis: u64) -> String {
    let time = Timestamp::from_millisecond(i64::try_from(millis).unwrap_or(i64::MAX))
        .unwrap_or_default()
        .to_zoned(zone);
    jiff::fmt::strtime::format("%a %b %d %Y %H:%M:%S GMT%z (%Z)", &time)
        .unwrap_or_else(|_| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_is_that_of_the_manual() {
        let zone = TimeZone::get("America/Los_Angeles").unwrap();
        assert_eq!(date_in(zone, 1_337_359_772_000), "Fri May 18 2012 09:49:32 GMT-0700 (PDT)");
        assert_eq!(
            date_in(TimeZone::UTC, 1_337_359_772_000),
            "Fri May 18 2012 16:49:32 GMT+0000 (UTC)"
        );
        assert!(!date_in(TimeZone::UTC, u64::MAX).is_empty());
    }

    #[test]
    fn the_answers_are_those_of_the_manual() {
        let local = LocalEnd { ip: "127.0.0.1", port: "3000", hostname: "somehost" };
        let answer = HealthAnswer::check(Verdict::Available, 0, 0, local);
        assert_eq!((answer.status, answer.reason()), (200, "OK"));
        let names: Vec<_> = answer.headers.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["X-Powered-By", "content-type", "since", "cache-control", "Connection"]);
        assert!(answer.body.starts_with(
            "status=AVAILABLE&ServeTraffic=true&ip=127.0.0.1&hostname=somehost&port=3000\
             &time=Thu Jan 01 1970 "
        ));
        let answer = HealthAnswer::check(Verdict::Disabled, 0, 0, local);
        assert_eq!((answer.status, answer.reason()), (400, "Bad Request"));
        assert!(answer.body.starts_with("status=DISABLED&ServeTraffic=false&"));
        assert_eq!(HealthAnswer::check(Verdict::Warning, 0, 0, local).status, 500);
        let answer = HealthAnswer::switched(0);
        let names: Vec<_> = answer.headers.iter().map(|(name, _)| *name).collect();
        assert_eq!(
            (answer.status, names),
            (204, vec!["X-Powered-By", "since", "cache-control", "Connection"])
        );
    }
}
