//! The option `overload`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::reader::Reader;
use crate::error::{ClusterError, Result};

/// The `overload` option. At least one of the two is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverloadOptions {
    /// How many connections may wait in an accept queue. `None`: any number.
    pub waiting: Option<u64>,
    /// How long a connection may wait there, milliseconds. `None`: any time.
    pub delay: Option<u64>,
}

/// The shortest `delay`, milliseconds: queues are looked at every 5 ms at most.
const MIN_DELAY: u64 = 20;

const EXPECTED: &str = "an object with 'waiting', 'delay' or both, or false to turn it off";

/// Reads the option. `None`: it is off.
pub(super) fn read(options: &mut Reader<'_>) -> Result<Option<OverloadOptions>> {
    let given = match options.raw("overload") {
        Some(Value::Bool(false)) | None => return Ok(None),
        Some(given) => given,
    };
    let mut read = Reader::new("overload.", given, EXPECTED)?;
    let overload = OverloadOptions {
        waiting: read.number("waiting", 1, u64::from(u32::MAX))?,
        delay: read.optional_duration("delay", MIN_DELAY)?,
    };
    read.finish()?;
    if overload.waiting.is_none() && overload.delay.is_none() {
        return Err(ClusterError::OptionInvalid {
            name: "overload".into(),
            expected: EXPECTED.into(),
            got: "neither".into(),
        });
    }
    Ok(Some(overload))
}
