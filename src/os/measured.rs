//! What a process measures of itself with each beat, in one number of its row on the scoreboard.

/// What a process says of itself with each beat, as one number, so that readers see both. `Beat` is
/// no such time: it changes with each turn of the event loop that somebody asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Measured {
    /// Milliseconds on the monotonic clock; 0 if nothing was measured yet.
    pub at: u64,
    /// The part of the last second in which the event loop was not idle, from 0 to 1. `None`: it is
    /// not known.
    pub utilization: Option<f64>,
}

impl Measured {
    /// The utilization is kept in thousandths; a larger number means that it is not known.
    const PARTS: f64 = 1_000.0;
    const UNKNOWN: u64 = 1_023;
    const SCALE: u64 = 1_024;

    /// Returns it as a number of a row. Exact for 139 years after the machine's start.
    pub fn to_number(self) -> f64 {
        let part = |part: f64| (part.clamp(0.0, 1.0) * Self::PARTS).round() as u64;
        (self.at * Self::SCALE + self.utilization.map_or(Self::UNKNOWN, part)) as f64
    }

    /// Reads what `to_number` returned.
    pub fn from_number(number: f64) -> Self {
        let number = number.max(0.0) as u64;
        let part = (number % Self::SCALE) as f64 / Self::PARTS;
        Self { at: number / Self::SCALE, utilization: (part <= 1.0).then_some(part) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measurement_is_one_number() {
        let all = [None, Some(0.0), Some(0.125), Some(1.0)]
            .map(|utilization| Measured { at: 123_456_789_012, utilization });
        assert_eq!(all.map(|measured| Measured::from_number(measured.to_number())), all);
        assert_eq!(Measured::from_number(0.0).at, 0);
    }
}
