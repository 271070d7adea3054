//! Reads one JSON object of options, remembering which names were asked for, so that what is left over can be
//! refused by name.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use serde_json::{Map, Value};

use crate::config::{INHERITED, Port};
use crate::error::{ClusterError, Result};

/// The largest whole number that JavaScript holds exactly.
pub const MAX_NUMBER: u64 = (1 << 53) - 1;

/// The longest duration that a Node timer takes, milliseconds.
const MAX_DURATION: u64 = i32::MAX as u64;

const PORT: &str = "a port (0 to 65535), the path of a unix socket";

pub struct Reader<'a> {
    prefix: &'static str,
    given: &'a Map<String, Value>,
    known: Vec<&'static str>,
}

impl<'a> Reader<'a> {
    /// `prefix` goes before every name in messages; `expected` says what `given` should have been.
    pub fn new(prefix: &'static str, given: &'a Value, expected: &str) -> Result<Self> {
        match given {
            Value::Object(map) if !map.contains_key("$type") => {
                Ok(Self { prefix, given: map, known: Vec::new() })
            }
            other => {
                let name = if prefix.is_empty() { "options" } else { prefix.trim_end_matches('.') };
                Err(ClusterError::OptionInvalid {
                    name: name.into(),
                    expected: expected.into(),
                    got: show(other),
                })
            }
        }
    }

    /// The value as given; JSON null counts as not given.
    pub fn raw(&mut self, name: &'static str) -> Option<&'a Value> {
        self.known.push(name);
        self.given.get(name).filter(|value| !value.is_null())
    }

    /// Whether JSON null was given.
    pub fn is_null(&self, name: &str) -> bool {
        self.given.get(name).is_some_and(Value::is_null)
    }

    /// Refuses what nobody asked for.
    pub fn finish(mut self) -> Result<()> {
        self.known.sort_unstable();
        match self.given.keys().find(|key| !self.known.contains(&key.as_str())) {
            None => Ok(()),
            Some(key) => Err(ClusterError::OptionUnknown {
                name: format!("{}{key}", self.prefix),
                known: self.known.join(", "),
            }),
        }
    }

    pub fn boolean(&mut self, name: &'static str, default: bool) -> Result<bool> {
        match self.raw(name) {
            None => Ok(default),
            Some(Value::Bool(value)) => Ok(*value),
            Some(other) => self.wrong(name, "true or false", other),
        }
    }

    pub fn function(&mut self, name: &'static str) -> Result<bool> {
        match self.raw(name) {
            None => Ok(false),
            Some(Value::Object(map)) if map.get("$type").is_some_and(|t| t == "a function") => {
                Ok(true)
            }
            Some(other) => self.wrong(name, "a function", other),
        }
    }

    pub fn number(&mut self, name: &'static str, min: u64, max: u64) -> Result<Option<u64>> {
        match self.raw(name) {
            None => Ok(None),
            Some(value) => match whole(value).filter(|n| (min..=max).contains(n)) {
                Some(n) => Ok(Some(n)),
                None => self.wrong(name, &format!("a whole number from {min} to {max}"), value),
            },
        }
    }

    /// A number from 1; 0 stands for none.
    pub fn threshold(&mut self, name: &'static str) -> Result<Option<u64>> {
        Ok(self.number(name, 0, MAX_NUMBER)?.filter(|threshold| *threshold > 0))
    }

    pub fn duration(&mut self, name: &'static str, min: u64, default: u64) -> Result<u64> {
        Ok(self.number(name, min, MAX_DURATION)?.unwrap_or(default))
    }

    pub fn optional_text(&mut self, name: &'static str) -> Result<Option<String>> {
        match self.raw(name) {
            None => Ok(None),
            Some(Value::String(text)) if is_text(text) => Ok(Some(text.clone())),
            Some(other) => self.wrong(name, "a text that is not empty", other),
        }
    }

    pub fn text(&mut self, name: &'static str, default: &str) -> Result<String> {
        Ok(self.optional_text(name)?.unwrap_or_else(|| default.into()))
    }

    pub fn path(&mut self, name: &'static str) -> Result<Option<PathBuf>> {
        Ok(self.optional_text(name)?.map(PathBuf::from))
    }

    pub fn url_path(&mut self, name: &'static str, default: &str) -> Result<String> {
        match self.raw(name) {
            None => Ok(default.into()),
            Some(Value::String(path)) if path.starts_with('/') && is_text(path) => Ok(path.clone()),
            Some(other) => self.wrong(name, "a path that begins with '/'", other),
        }
    }

    pub fn texts(&mut self, name: &'static str) -> Result<Option<Vec<String>>> {
        let Some(value) = self.raw(name) else { return Ok(None) };
        let texts = value.as_array().and_then(|items| items.iter().map(argument).collect());
        match texts {
            Some(texts) => Ok(Some(texts)),
            None => self.wrong(name, "a list of texts", value),
        }
    }

    /// What a health check may ask: a path on the app, or a URL.
    pub fn probed(&mut self, name: &'static str) -> Result<Option<String>> {
        match self.raw(name) {
            None => Ok(None),
            Some(Value::String(text)) if is_probed(text) => Ok(Some(text.clone())),
            Some(other) => self.wrong(
                name,
                "a path that begins with '/', or an http or https URL without a user",
                other,
            ),
        }
    }

    /// A bearer token: what a header can carry and nobody trims.
    pub fn token(&mut self, name: &'static str) -> Result<Option<String>> {
        match self.optional_text(name)? {
            Some(text) if text.trim() != text || text.chars().any(char::is_control) => self.wrong(
                name,
                "a text without blanks around it",
                &Value::String("one with some".into()),
            ),
            other => Ok(other),
        }
    }

    /// Addresses and CIDRs.
    pub fn networks(&mut self, name: &'static str) -> Result<Option<Vec<String>>> {
        let Some(value) = self.raw(name) else { return Ok(None) };
        let text =
            |item: &Value| item.as_str().filter(|text| network(text).is_some()).map(str::to_owned);
        // An empty list would read as nobody, and mean everybody.
        match value
            .as_array()
            .filter(|items| !items.is_empty())
            .and_then(|items| items.iter().map(text).collect())
        {
            Some(texts) => Ok(Some(texts)),
            None => self.wrong(
                name,
                "a list of addresses and CIDRs, such as '10.0.0.0/8', at least one",
                value,
            ),
        }
    }

    pub fn variables(&mut self, name: &'static str) -> Result<BTreeMap<String, String>> {
        let Some(value) = self.raw(name) else { return Ok(BTreeMap::new()) };
        let pair = |(key, value): (&String, &Value)| {
            let good = is_text(key) && !key.contains('=');
            argument(value).filter(|_| good).map(|value| (key.clone(), value))
        };
        let map = value.as_object().filter(|map| !map.contains_key("$type"));
        match map.and_then(|map| map.iter().map(pair).collect()) {
            Some(variables) => Ok(variables),
            None => self.wrong(name, "an object of texts, one for each variable", value),
        }
    }

    pub fn one_of<T: Copy>(
        &mut self,
        name: &'static str,
        default: T,
        choices: &[(&str, T)],
    ) -> Result<T> {
        let Some(value) = self.raw(name) else { return Ok(default) };
        match choices.iter().find(|(choice, _)| value == *choice) {
            Some((_, chosen)) => Ok(*chosen),
            None => {
                let names: Vec<String> =
                    choices.iter().map(|(choice, _)| format!("'{choice}'")).collect();
                self.wrong(name, &format!("one of {}", names.join(", ")), value)
            }
        }
    }

    pub fn ports(&mut self, name: &'static str, default: Port) -> Result<Vec<Port>> {
        let Some(value) = self.raw(name) else { return Ok(vec![default]) };
        let ports: Option<Vec<Port>> = match value {
            Value::Array(items) => items.iter().map(port).collect(),
            one => port(one).map(|port| vec![port]),
        };
        match ports {
            Some(ports) if ports.is_empty() => {
                self.wrong(name, &format!("{PORT}, or a list of them"), value)
            }
            Some(ports) if repeats(&ports) => self.wrong(name, "a list without repetition", value),
            Some(ports) => Ok(ports),
            None => self.wrong(name, &format!("{PORT}, or a list of them"), value),
        }
    }

    pub fn port_or_off(&mut self, name: &'static str, default: Port) -> Result<Option<Port>> {
        match self.raw(name) {
            None => Ok(Some(default)),
            Some(Value::Bool(false)) => Ok(None),
            Some(value) => match port(value) {
                Some(port) if !matches!(&port, Port::Unix(path) if path.starts_with(INHERITED) || is_abstract(path)) => {
                    Ok(Some(port))
                }
                _ => self.wrong(name, &format!("{PORT}, or false to turn it off"), value),
            },
        }
    }

    fn wrong<T>(&self, name: &str, expected: &str, got: &Value) -> Result<T> {
        Err(ClusterError::OptionInvalid {
            name: format!("{}{name}", self.prefix),
            expected: expected.into(),
            got: show(got),
        })
    }
}

/// An address or a CIDR.
pub fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

fn is_probed(text: &str) -> bool {
    let Ok(uri) = text.parse::<hyper::Uri>() else { return false };
    let is_url = matches!(uri.scheme_str(), Some("http" | "https"))
        && uri.host().is_some_and(|host| !host.is_empty());
    // A user and a password in it would be shown wherever the URL is, and no probe sends them.
    let is_named = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
    (is_url && !is_named) || text.starts_with('/')
}

fn is_text(text: &str) -> bool {
    !text.is_empty() && !text.contains('\0')
}

/// An argument or a variable's value: a text that may be empty, or a number, which `process.env` users write.
fn argument(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.contains('\0') => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn whole(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64().or_else(|| {
            let float = number.as_f64()?;
            (float >= 0.0 && float.fract() == 0.0 && float <= MAX_NUMBER as f64)
                .then_some(float as u64)
        }),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn port(value: &Value) -> Option<Port> {
    match (whole(value), value) {
        (Some(number), _) => u16::try_from(number).ok().map(Port::Tcp),
        (None, Value::String(path))
            if is_text(path) && !looks_numeric(path) && path != INHERITED =>
        {
            Some(Port::Unix(path.clone()))
        }
        (None, Value::String(path)) if is_abstract(path) => Some(Port::Unix(path.clone())),
        _ => None,
    }
}

/// Whether it is the name of a unix socket without a file.
fn is_abstract(path: &str) -> bool {
    path.strip_prefix('\0').is_some_and(is_text)
}

/// `-1` or `80.5` is a mistyped port, not the name of a socket.
fn looks_numeric(text: &str) -> bool {
    text.trim().parse::<f64>().is_ok()
}

/// Port 0 may be asked for several times: each is another port.
fn repeats(ports: &[Port]) -> bool {
    ports.iter().enumerate().any(|(i, port)| *port != Port::Tcp(0) && ports[..i].contains(port))
}

/// A value for a message: what it was, shortened.
fn show(value: &Value) -> String {
    if let Some(kind) = value.get("$type").and_then(Value::as_str) {
        return kind.to_owned();
    }
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
