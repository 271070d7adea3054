//! Reads one JSON object of options.
//!
//! It remembers which names were asked for, and refuses all others by name.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Map, Value};

use super::network::network;
use super::port::Port;
use super::units::{BYTES, MILLIS, Quantity, SECONDS};
use super::values::{MAX_NUMBER, argument, is_probe_target, is_text, show, whole};
use crate::error::{ClusterError, Result};

/// The longest duration that a Node timer takes, milliseconds.
const MAX_DURATION: u64 = i32::MAX as u64;

const PORT: &str = "a port (0 to 65535), the path of a unix socket";

/// An object of options that is being read.
pub(super) struct Reader<'a> {
    prefix: &'static str,
    given: &'a Map<String, Value>,
    known: Vec<&'static str>,
}

impl<'a> Reader<'a> {
    /// `prefix` goes before every name in messages; `expected` says what `given` should have been.
    pub(super) fn new(prefix: &'static str, given: &'a Value, expected: &str) -> Result<Self> {
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

    /// Returns the value as given; JSON null counts as not given.
    pub(super) fn raw(&mut self, name: &'static str) -> Option<&'a Value> {
        self.known.push(name);
        self.given.get(name).filter(|value| !value.is_null())
    }

    /// Whether JSON null was given.
    pub(super) fn is_null(&self, name: &str) -> bool {
        self.given.get(name).is_some_and(Value::is_null)
    }

    /// Refuses the names that were not asked for.
    pub(super) fn finish(mut self) -> Result<()> {
        self.known.sort_unstable();
        match self.given.keys().find(|key| !self.known.contains(&key.as_str())) {
            None => Ok(()),
            Some(key) => Err(ClusterError::OptionUnknown {
                name: format!("{}{key}", self.prefix),
                known: self.known.join(", "),
            }),
        }
    }

    pub(super) fn boolean(&mut self, name: &'static str, default: bool) -> Result<bool> {
        match self.raw(name) {
            None => Ok(default),
            Some(Value::Bool(value)) => Ok(*value),
            Some(other) => self.wrong(name, "true or false", other),
        }
    }

    pub(super) fn function(&mut self, name: &'static str) -> Result<bool> {
        match self.raw(name) {
            None => Ok(false),
            Some(Value::Object(map)) if map.get("$type").is_some_and(|t| t == "a function") => {
                Ok(true)
            }
            Some(other) => self.wrong(name, "a function", other),
        }
    }

    pub(super) fn number(&mut self, name: &'static str, min: u64, max: u64) -> Result<Option<u64>> {
        match self.raw(name) {
            None => Ok(None),
            Some(value) => match whole(value).filter(|n| (min..=max).contains(n)) {
                Some(n) => Ok(Some(n)),
                None => self.wrong(name, &format!("a whole number from {min} to {max}"), value),
            },
        }
    }

    fn quantity(
        &mut self,
        name: &'static str,
        kind: &Quantity,
        min: u64,
        max: u64,
    ) -> Result<Option<u64>> {
        let Some(value) = self.raw(name) else { return Ok(None) };
        match kind.read(value).filter(|n| (min..=max).contains(n)) {
            Some(n) => Ok(Some(n)),
            None => {
                let Quantity { base, example, .. } = kind;
                let expected = format!("a whole number from {min} to {max} ({base}), or {example}");
                self.wrong(name, &expected, value)
            }
        }
    }

    /// Reads a number from 1; 0 stands for none.
    pub(super) fn threshold(&mut self, name: &'static str) -> Result<Option<u64>> {
        Ok(self.number(name, 0, MAX_NUMBER)?.filter(|threshold| *threshold > 0))
    }

    /// Reads seconds, from 1; 0 stands for none.
    pub(super) fn age(&mut self, name: &'static str) -> Result<Option<u64>> {
        Ok(self.quantity(name, &SECONDS, 0, MAX_NUMBER)?.filter(|age| *age > 0))
    }

    /// Reads bytes, from 1; 0 stands for none.
    pub(super) fn size(&mut self, name: &'static str) -> Result<Option<u64>> {
        Ok(self.quantity(name, &BYTES, 0, MAX_NUMBER)?.filter(|size| *size > 0))
    }

    /// Reads milliseconds.
    pub(super) fn duration(&mut self, name: &'static str, min: u64, default: u64) -> Result<u64> {
        Ok(self.optional_duration(name, min)?.unwrap_or(default))
    }

    /// Reads milliseconds; `None`: not given.
    pub(super) fn optional_duration(
        &mut self,
        name: &'static str,
        min: u64,
    ) -> Result<Option<u64>> {
        self.quantity(name, &MILLIS, min, MAX_DURATION)
    }

    /// Reads a number of workers, up to `most`; `max` is what that function returns.
    pub(super) fn workers(
        &mut self,
        name: &'static str,
        most: u32,
        max: fn() -> u32,
    ) -> Result<Option<u32>> {
        match self.raw(name) {
            None => Ok(None),
            Some(Value::String(text)) if text == "max" => Ok(Some(max())),
            Some(value) => match whole(value).filter(|n| (1..=u64::from(most)).contains(n)) {
                Some(n) => Ok(Some(n as u32)),
                None => {
                    self.wrong(name, &format!("a whole number from 1 to {most}, or 'max'"), value)
                }
            },
        }
    }

    pub(super) fn optional_text(&mut self, name: &'static str) -> Result<Option<String>> {
        match self.raw(name) {
            None => Ok(None),
            Some(Value::String(text)) if is_text(text) => Ok(Some(text.clone())),
            Some(other) => self.wrong(name, "a text that is not empty", other),
        }
    }

    /// Returns a text that is shown in one line.
    pub(super) fn line(&mut self, name: &'static str) -> Result<Option<String>> {
        let is_line = |text: &str| is_text(text) && !text.contains(char::is_control);
        match self.raw(name) {
            None => Ok(None),
            Some(Value::String(text)) if is_line(text) => Ok(Some(text.clone())),
            Some(other) => self.wrong(name, "a text in one line, not empty", other),
        }
    }

    pub(super) fn text(&mut self, name: &'static str, default: &str) -> Result<String> {
        Ok(self.optional_text(name)?.unwrap_or_else(|| default.into()))
    }

    pub(super) fn path(&mut self, name: &'static str) -> Result<Option<PathBuf>> {
        Ok(self.optional_text(name)?.map(PathBuf::from))
    }

    pub(super) fn url_path(&mut self, name: &'static str, default: &str) -> Result<String> {
        match self.raw(name) {
            None => Ok(default.into()),
            Some(Value::String(path)) if path.starts_with('/') && is_text(path) => Ok(path.clone()),
            Some(other) => self.wrong(name, "a path that begins with '/'", other),
        }
    }

    pub(super) fn texts(&mut self, name: &'static str) -> Result<Option<Vec<String>>> {
        let Some(value) = self.raw(name) else { return Ok(None) };
        let texts = value.as_array().and_then(|items| items.iter().map(argument).collect());
        match texts {
            Some(texts) => Ok(Some(texts)),
            None => self.wrong(name, "a list of texts", value),
        }
    }

    /// Reads what a health check probes: a path on the app, or a URL.
    pub(super) fn probe_target(&mut self, name: &'static str) -> Result<Option<String>> {
        match self.raw(name) {
            None => Ok(None),
            Some(Value::String(text)) if is_probe_target(text) => Ok(Some(text.clone())),
            Some(other) => self.wrong(
                name,
                "a path that begins with '/', or an http or https URL without a user",
                other,
            ),
        }
    }

    /// Reads a bearer token: a header can carry it, and trimming does not change it.
    pub(super) fn token(&mut self, name: &'static str) -> Result<Option<String>> {
        match self.optional_text(name)? {
            Some(text) if text.trim() != text || text.chars().any(char::is_control) => self.wrong(
                name,
                "a text without blanks around it",
                &Value::String("one with some".into()),
            ),
            other => Ok(other),
        }
    }

    /// Reads addresses and CIDRs.
    pub(super) fn networks(&mut self, name: &'static str) -> Result<Option<Vec<String>>> {
        let Some(value) = self.raw(name) else { return Ok(None) };
        let text =
            |item: &Value| item.as_str().filter(|text| network(text).is_some()).map(str::to_owned);
        // An empty list reads as "nobody", but would allow everybody.
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

    pub(super) fn variables(&mut self, name: &'static str) -> Result<BTreeMap<String, String>> {
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

    pub(super) fn one_of<T: Copy>(
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

    pub(super) fn ports(&mut self, name: &'static str, default: Port) -> Result<Vec<Port>> {
        let Some(value) = self.raw(name) else { return Ok(vec![default]) };
        let ports: Option<Vec<Port>> = match value {
            Value::Array(items) => items.iter().map(Port::read).collect(),
            one => Port::read(one).map(|port| vec![port]),
        };
        match ports {
            Some(ports) if ports.is_empty() => {
                self.wrong(name, &format!("{PORT}, or a list of them"), value)
            }
            Some(ports) if Port::repeats(&ports) => {
                self.wrong(name, "a list without repetition", value)
            }
            Some(ports) => Ok(ports),
            None => self.wrong(name, &format!("{PORT}, or a list of them"), value),
        }
    }

    pub(super) fn port_or_off(
        &mut self,
        name: &'static str,
        default: Port,
    ) -> Result<Option<Port>> {
        match self.raw(name) {
            None => Ok(Some(default)),
            Some(Value::Bool(false)) => Ok(None),
            Some(value) => match Port::read(value) {
                Some(port) if !port.is_inherited() && !port.is_abstract() => Ok(Some(port)),
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
