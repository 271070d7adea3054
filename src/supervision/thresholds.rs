//! The limits above which a worker is recycled.

use crate::clock::Millis;

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Threshold {
    Connections,
    Uptime,
    Memory,
}

/// A limit that a worker passed, in the units of [`Thresholds`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Passed {
    pub(crate) threshold: Threshold,
    pub(crate) value: u64,
    pub(crate) limit: u64,
}

/// Limits above which a worker is recycled; `None` turns one off.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Thresholds {
    /// Connections ever served.
    pub(crate) connections: Option<u64>,
    /// Milliseconds since the worker became ready.
    pub(crate) uptime: Option<Millis>,
    /// Resident memory, bytes.
    pub(crate) memory: Option<u64>,
}

impl Thresholds {
    /// Returns the first limit that is passed. `jitter`, from 0 to 1, raises each limit
    /// by up to half, so that workers of the same age are not recycled together.
    pub(super) fn passed(
        &self,
        jitter: f64,
        connections: u64,
        uptime: Millis,
        memory: u64,
    ) -> Option<Passed> {
        let check = |threshold, limit: Option<u64>, value: u64| {
            let limit = limit? as f64 * (1.0 + jitter / 2.0);
            (value as f64 >= limit).then_some(Passed { threshold, value, limit: limit as u64 })
        };
        check(Threshold::Connections, self.connections, connections)
            .or_else(|| check(Threshold::Uptime, self.uptime, uptime))
            .or_else(|| check(Threshold::Memory, self.memory, memory))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_raises_limits_by_up_to_half_and_the_passed_limit_is_named() {
        let limits = Thresholds { connections: Some(100), uptime: None, memory: Some(1_000) };
        assert_eq!(limits.passed(0.0, 99, u64::MAX, 999), None);
        let passed = |threshold, value, limit| Some(Passed { threshold, value, limit });
        assert_eq!(limits.passed(0.0, 100, 0, 0), passed(Threshold::Connections, 100, 100));
        assert_eq!(limits.passed(1.0, 149, 0, 0), None);
        assert_eq!(limits.passed(1.0, 150, 0, 0), passed(Threshold::Connections, 150, 150));
        assert_eq!(limits.passed(0.5, 0, 0, 1_250), passed(Threshold::Memory, 1_250, 1_250));
    }
}
