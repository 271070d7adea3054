//! Which clients may switch the health check.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use subtle::ConstantTimeEq;

use crate::config::network;

/// Why a client may not switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No token, or a wrong one: 401.
    Unauthorized,
    /// Its address is not allowed: 403.
    Forbidden,
}

impl Refusal {
    pub(super) fn status(self) -> u16 {
        match self {
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
        }
    }
}

/// A client that wants to switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// A client at this address.
    At(IpAddr),
    /// A client of our unix socket, which the mode of its file guards.
    Unix,
    /// A client that has gone already, so that its address is unknown.
    Unknown,
}

impl Client {
    /// Parses an address. An invalid one is unknown.
    pub fn parse(address: &str) -> Self {
        address.parse().map_or(Self::Unknown, Self::At)
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(address) => address.fmt(f),
            Self::Unix => f.write_str("a unix socket"),
            Self::Unknown => f.write_str("somebody who was gone"),
        }
    }
}

/// The options `ecv.token` and `ecv.allow`. Without both, any client may switch, as with the
/// original.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    token: Option<String>,
    /// `None`: any address.
    allow: Option<Vec<IpNet>>,
}

impl Guard {
    /// The check of the options has validated `allow`. An invalid network contains no address.
    pub(super) fn new(token: Option<String>, allow: Option<&[String]>) -> Self {
        let networks = |allow: &[String]| allow.iter().filter_map(|text| network(text)).collect();
        Self { token, allow: allow.map(networks) }
    }

    /// Requires both the address and the token if both options are given. A request from a web page
    /// always requires the token.
    pub(super) fn admit(
        &self,
        client: Client,
        authorization: Option<&[u8]>,
        from_page: bool,
    ) -> Result<(), Refusal> {
        let is_allowed = |allow: &Vec<IpNet>| match client {
            Client::At(address) => {
                allow.iter().any(|network| network.contains(&address.to_canonical()))
            }
            Client::Unix => true,
            Client::Unknown => false,
        };
        if !self.allow.as_ref().is_none_or(is_allowed) {
            return Err(Refusal::Forbidden);
        }
        match &self.token {
            None if from_page => Err(Refusal::Forbidden),
            None => Ok(()),
            Some(token)
                if authorization
                    .and_then(bearer)
                    .is_some_and(|given| is_same(given, token.as_bytes())) =>
            {
                Ok(())
            }
            Some(_) => Err(Refusal::Unauthorized),
        }
    }
}

fn bearer(header: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = header.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// Compares in a time that depends on the lengths alone.
fn is_same(given: &[u8], wanted: &[u8]) -> bool {
    given.ct_eq(wanted).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(token: Option<&str>, allow: &[&str]) -> Guard {
        let allow: Vec<String> = allow.iter().map(|text| (*text).to_owned()).collect();
        Guard::new(token.map(str::to_owned), (!allow.is_empty()).then_some(&allow))
    }

    fn ip(text: &str) -> Client {
        Client::At(text.parse().unwrap())
    }

    #[test]
    fn addresses_and_networks_are_allowed_also_when_mapped_to_ipv6() {
        let guard = guard(None, &["10.0.0.0/8", "127.0.0.1", "fd00::/8"]);
        for good in ["10.1.2.3", "127.0.0.1", "::ffff:10.9.9.9", "fd00::5"] {
            assert_eq!(guard.admit(ip(good), None, false), Ok(()), "{good}");
        }
        for bad in ["11.0.0.1", "127.0.0.2", "::1"] {
            assert_eq!(guard.admit(ip(bad), None, false), Err(Refusal::Forbidden), "{bad}");
        }
        assert_eq!(guard.admit(Client::Unix, None, false), Ok(()));
        assert_eq!(
            guard.admit(Client::Unknown, None, false),
            Err(Refusal::Forbidden),
            "reset before its address was read"
        );
        assert_eq!(
            self::guard(None, &["nonsense"]).admit(ip("::1"), None, false),
            Err(Refusal::Forbidden)
        );
    }

    #[test]
    fn only_the_exact_token_is_accepted() {
        let guard = guard(Some("secret"), &[]);
        assert_eq!(guard.admit(ip("1.2.3.4"), Some(b"Bearer secret"), false), Ok(()));
        assert_eq!(guard.admit(Client::Unix, Some(b"bearer secret"), false), Ok(()));
        let wrong: [Option<&[u8]>; 5] = [
            None,
            Some(b""),
            Some(b"Bearer secre"),
            Some(b"Bearer secret2"),
            Some(b"Basic secret"),
        ];
        for header in wrong {
            assert_eq!(
                guard.admit(Client::Unix, header, false),
                Err(Refusal::Unauthorized),
                "{header:?}"
            );
        }
    }

    #[test]
    fn both_options_require_both_and_without_them_any_client_may_switch() {
        let both = guard(Some("secret"), &["10.0.0.0/8"]);
        assert_eq!(both.admit(ip("10.0.0.1"), None, false), Err(Refusal::Unauthorized));
        assert_eq!(
            both.admit(ip("9.0.0.1"), Some(b"Bearer secret"), false),
            Err(Refusal::Forbidden)
        );
        assert_eq!(guard(None, &[]).admit(ip("9.0.0.1"), None, false), Ok(()));
    }

    #[test]
    fn a_page_in_a_browser_needs_the_token() {
        assert_eq!(guard(None, &[]).admit(ip("127.0.0.1"), None, true), Err(Refusal::Forbidden));
        assert_eq!(
            guard(Some("secret"), &[]).admit(ip("127.0.0.1"), Some(b"Bearer secret"), true),
            Ok(())
        );
    }
}
