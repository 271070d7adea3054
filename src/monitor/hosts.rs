//! The names by which a monitor may be called.

use std::net::IpAddr;

use hyper::Uri;
use hyper::header::{self, HeaderMap};
use hyper::http::uri::Authority;

/// Whether `Host`, and the host of an absolute target, are among `hosts`.
pub(super) fn is_known(hosts: &[String], uri: &Uri, headers: &HeaderMap) -> bool {
    let mut named = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (named.next(), named.next()) else { return false };
    let Ok(host) = Authority::try_from(host.as_bytes()) else { return false };
    [Some(&host), uri.authority()].into_iter().flatten().all(|authority| {
        let found = authority.host();
        !authority.as_str().contains('@') && hosts.iter().any(|known| is_same(known, found))
    })
}

/// Compares hosts without case, and IPv6 addresses without brackets and spelling.
fn is_same(one: &str, other: &str) -> bool {
    let bare = |host: &str| host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    let (one, other) = (bare(one), bare(other));
    match (one.parse::<IpAddr>(), other.parse::<IpAddr>()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    #[test]
    fn a_host_is_compared_without_port_case_and_spelling() {
        let hosts = ["localhost", "127.0.0.1", "::1"].map(String::from);
        let known = |target: &str, host: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            is_known(&hosts, &target.parse().unwrap(), &headers)
        };
        for host in
            ["localhost", "LOCALHOST:3001", "127.0.0.1:1", "[::1]", "[0:0:0:0:0:0:0:1]:3001"]
        {
            assert!(known("/", host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "localhost@evil.example",
            "a@localhost",
            "[::2]",
            "::1 x",
        ] {
            assert!(!known("/", host), "{host}");
        }
        assert!(known("http://localhost:3001/", "localhost:3001"));
        assert!(!known("http://evil.example/", "localhost"), "the target counts too");
    }

    #[test]
    fn no_host_and_two_hosts_are_unknown() {
        let hosts = ["localhost".to_owned()];
        let mut headers = HeaderMap::new();
        assert!(!is_known(&hosts, &"/".parse().unwrap(), &headers));
        headers.append(header::HOST, HeaderValue::from_static("localhost"));
        headers.append(header::HOST, HeaderValue::from_static("localhost"));
        assert!(!is_known(&hosts, &"/".parse().unwrap(), &headers));
    }
}
