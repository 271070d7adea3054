//! The last samples of a number, and their drawing.

use std::collections::VecDeque;
use std::fmt::Write;

/// The number of samples that are kept: five minutes.
const MAX_SAMPLES: usize = 150;

/// The size of a drawing, in its own units. A sample is `STEP` wide.
pub(super) const WIDTH: usize = (MAX_SAMPLES - 1) * STEP;
pub(super) const HEIGHT: i64 = 100;
const STEP: usize = 2;

/// The last samples of one number, oldest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Series(VecDeque<f64>);

impl Series {
    pub(super) fn push(&mut self, value: f64) {
        if self.0.len() == MAX_SAMPLES {
            self.0.pop_front();
        }
        self.0.push_back(if value.is_finite() { value.max(0.0) } else { 0.0 });
    }

    /// Returns the newest sample, or 0.
    pub(super) fn last(&self) -> f64 {
        self.0.back().copied().unwrap_or(0.0)
    }

    /// Returns the highest sample, or 0.
    pub(super) fn highest(&self) -> f64 {
        self.0.iter().copied().fold(0.0, f64::max)
    }

    /// Returns the samples as the data of an SVG path, at the right of a drawing whose upper edge
    /// is `top`. Fewer than two samples give an empty path.
    pub(super) fn line(&self, top: f64) -> String {
        let mut path = String::new();
        if self.0.len() < 2 {
            return path;
        }
        let height =
            |value: &f64| ((1.0 - (value / top).clamp(0.0, 1.0)) * HEIGHT as f64).round() as i64;
        let mut before = None;
        for value in &self.0 {
            let y = height(value);
            // Writing to a string does not fail.
            let _ = match before {
                None => write!(path, "M{} {y}", (MAX_SAMPLES - self.0.len()) * STEP),
                Some(before) => write!(path, "l{STEP} {}", y - before),
            };
            before = Some(y);
        }
        path
    }

    /// Returns the area below the line.
    pub(super) fn area(&self, top: f64) -> String {
        let line = self.line(top);
        if line.is_empty() {
            line
        } else {
            format!("{line}V{HEIGHT}H{}Z", (MAX_SAMPLES - self.0.len()) * STEP)
        }
    }
}

/// Returns the smallest round number that is at least `value` and `least`: a factor of few digits
/// times a power of ten.
pub(super) fn round_up(value: f64, least: f64) -> f64 {
    let value = value.max(least);
    let power = 10_f64.powf(value.log10().floor());
    let factor =
        [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0].into_iter().find(|factor| factor * power >= value);
    factor.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_keeps_the_last_samples_and_draws_them_to_the_right() {
        let mut series = Series::default();
        series.push(50.0);
        assert_eq!(series.line(100.0), "");
        series.push(100.0);
        series.push(f64::NAN);
        assert_eq!(series.line(100.0), "M294 50l2 -50l2 100");
        assert_eq!(series.area(100.0), "M294 50l2 -50l2 100V100H294Z");
        (0..1000).for_each(|value| series.push(f64::from(value)));
        assert_eq!((series.0.len(), series.last(), series.highest()), (MAX_SAMPLES, 999.0, 999.0));
        assert!(series.line(1000.0).starts_with("M0 "));
    }

    #[test]
    fn scales_are_round() {
        let cases = [
            (0.0, 1.0),
            (1.0, 1.0),
            (1.1, 1.5),
            (41.0, 50.0),
            (81.0, 100.0),
            (1634.0, 2000.0),
            (f64::MIN, 1.0),
        ];
        for (value, round) in cases {
            assert_eq!(round_up(value, 1.0), round, "{value}");
        }
    }
}
