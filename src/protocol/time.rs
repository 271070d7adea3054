//! Points in time, as all that users read shows them.

use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};

/// A point in time. Shown in ISO 8601, UTC, with milliseconds, as `Date.prototype.toISOString`
/// does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub SystemTime);

impl Time {
    /// Returns milliseconds since 1970.
    pub fn millis(self) -> u64 {
        self.0.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_millis() as u64
    }

    /// From milliseconds since 1970.
    pub fn from_millis(millis: u64) -> Self {
        Self(SystemTime::UNIX_EPOCH + Duration::from_millis(millis))
    }
}

impl std::fmt::Display for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let stamp = jiff::Timestamp::from_millisecond(self.millis() as i64).unwrap_or_default();
        write!(f, "{stamp:.3}")
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_look_as_javascript_writes_them() {
        assert_eq!(Time::from_millis(1_337_359_772_000).to_string(), "2012-05-18T16:49:32.000Z");
    }
}
