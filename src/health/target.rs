//! What a probe asks: a server, a path, and whose certificates it trusts.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::header::{CONNECTION, HOST, HeaderValue, USER_AGENT};
use hyper::{Request, Uri};

use crate::protocol::{Endpoint, EndpointAddress};

/// The monitor URI.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) host: Host,
    uri: Uri,
    /// `None`: plain HTTP.
    pub(super) tls: Option<Trust>,
}

#[derive(Debug, Clone)]
pub(super) enum Host {
    /// The app itself.
    App(EndpointAddress),
    /// Host and port, resolved at each probe.
    Named(String, u16),
}

/// Which certificates are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// Those that the machine trusts.
    Machine,
    /// Any: the app is probed at its own address, which its certificate does not name.
    Any,
}

impl Target {
    /// `monitor` is the option: a URL, or a path on `app`, whose unspecified address means
    /// loopback. Returns `None` if it is neither; the check of the options rejects such a value.
    pub(super) fn new(monitor: &str, app: Endpoint) -> Option<Self> {
        let uri: Uri = monitor.parse().ok()?;
        if monitor.starts_with('/') {
            let host = Host::App(on_loopback(app.at));
            return Some(Self { host, uri, tls: app.secure.then_some(Trust::Any) });
        }
        let (default_port, tls) = match uri.scheme_str()? {
            "http" => (80, None),
            "https" => (443, Some(Trust::Machine)),
            _ => return None,
        };
        let name = uri.host()?.trim_matches(['[', ']']).to_owned();
        let host = Host::Named(name, uri.port_u16().unwrap_or(default_port));
        Some(Self { host, uri, tls })
    }

    /// Returns the host's name for TLS.
    pub(super) fn server_name(&self) -> String {
        match &self.host {
            Host::App(EndpointAddress::Tcp { address, .. }) => address.to_string(),
            Host::App(EndpointAddress::Unix { .. }) => "localhost".to_owned(),
            Host::Named(host, _) => host.clone(),
        }
    }

    pub(super) fn request(&self) -> Result<Request<Empty<Bytes>>, String> {
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        let host = match (&self.host, self.uri.authority()) {
            (Host::App(at @ EndpointAddress::Tcp { .. }), _) => at.to_string(),
            (_, Some(authority)) => authority.to_string(),
            _ => "localhost".to_owned(),
        };
        let agent =
            HeaderValue::from_static(concat!("cluster2-rs/", env!("CARGO_PKG_VERSION"), " (ecv)"));
        Request::get(path)
            .header(HOST, host)
            .header(USER_AGENT, agent)
            .header(CONNECTION, HeaderValue::from_static("close"))
            .body(Empty::new())
            .map_err(|error| error.to_string())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without its query, which may hold a secret.
        if let (Some(scheme), Some(authority)) = (self.uri.scheme_str(), self.uri.authority()) {
            write!(f, "{scheme}://{authority}")?;
        }
        f.write_str(self.uri.path())
    }
}

fn on_loopback(app: EndpointAddress) -> EndpointAddress {
    match app {
        EndpointAddress::Tcp { address, port } if address.is_unspecified() => {
            let loopback = if address.is_ipv4() {
                Ipv4Addr::LOCALHOST.into()
            } else {
                Ipv6Addr::LOCALHOST.into()
            };
            EndpointAddress::Tcp { address: loopback, port }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_path_on_the_app_or_a_url() {
        let app = |secure| Endpoint {
            at: "[::]:3000".parse::<std::net::SocketAddr>().unwrap().into(),
            secure,
        };
        let own = Target::new("/", app(true)).unwrap();
        assert!(matches!(&own.host, Host::App(at) if at.to_string() == "[::1]:3000"));
        assert_eq!(own.tls, Some(Trust::Any));
        let url = Target::new("https://example.com/x", app(false)).unwrap();
        assert!(matches!(&url.host, Host::Named(host, 443) if host == "example.com"));
        assert_eq!(url.tls, Some(Trust::Machine));
        assert_eq!(url.request().unwrap().headers()[HOST], "example.com");
        assert!(Target::new("ftp://example.com", app(false)).is_none());
        assert!(Target::new("nothing", app(false)).is_none());
    }
}
