//! Numbers and times for people.

use std::time::{Duration, SystemTime};

pub use crate::counts::count;
use crate::protocol::time::Time;

/// Formats a measured number, with one decimal below ten.
pub fn amount(number: f64) -> String {
    if (0.05..9.95).contains(&number) {
        format!("{number:.1}")
    } else {
        count(number.max(0.0).round() as u64)
    }
}

/// Formats bytes, in the unit in which they have at most three digits.
pub fn bytes(bytes: f64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut size, mut unit) = (bytes.max(0.0), 0);
    while size >= 1000.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{size:.0}\u{a0}B"),
        _ if size < 9.95 => format!("{size:.1}\u{a0}{}", UNITS[unit]),
        _ => format!("{size:.0}\u{a0}{}", UNITS[unit]),
    }
}

/// Formats bytes as `bytes`, for text that is no page: with a space that may break.
pub fn plain_bytes(size: u64) -> String {
    bytes(size as f64).replace('\u{a0}', " ")
}

/// Formats the time since `since`, in its two largest units.
pub fn age(since: SystemTime) -> String {
    duration(SystemTime::now().duration_since(since).unwrap_or_default())
}

/// Formats the state of a worker, with the time for which it is stuck: `stuck 8 s`.
pub fn state(state: &str, stuck_for: Option<u64>) -> String {
    let Some(stuck) = stuck_for else { return state.to_owned() };
    let time = duration(Duration::from_millis(stuck));
    if state == "stuck" { format!("stuck {time}") } else { format!("{state}, stuck {time}") }
}

/// Formats how many spares of `target` wait, to be put behind what is said of the workers.
pub fn spares(waiting: usize, target: u64) -> String {
    match (waiting as u64, target) {
        (_, 0) => String::new(),
        (1, 1) => ", with a spare".to_owned(),
        (waiting, target) if waiting == target => format!(", with {target} spares"),
        (waiting, target) => format!(", {waiting} of {target} spares wait"),
    }
}

/// Formats a duration in its two largest units.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}\u{a0}s"),
        (0, 0, _) => format!("{minutes}\u{a0}min {}\u{a0}s", seconds % 60),
        (0, ..) => format!("{hours}\u{a0}h {minutes}\u{a0}min"),
        _ => format!("{days}\u{a0}d {hours}\u{a0}h"),
    }
}

/// Formats a duration in its two largest units and few characters: `4m12s`.
pub fn short_duration(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{}s", seconds % 60),
        (0, ..) => format!("{hours}h{minutes}m"),
        _ => format!("{days}d{hours}h"),
    }
}

/// Formats how long something takes to begin: `in 4 min 12 s`, `now`.
pub fn wait_of(wait: Duration) -> String {
    if wait.as_secs() == 0 { "now".to_owned() } else { format!("in {}", duration(wait)) }
}

/// Formats it in few characters: `in 4m12s`, `now`.
pub fn short_wait(wait: Duration) -> String {
    if wait.as_secs() == 0 { "now".to_owned() } else { format!("in {}", short_duration(wait)) }
}

/// Formats a number in at most four characters below 10^12, such as `120k`.
pub fn short_count(number: f64) -> String {
    const UNITS: [&str; 4] = ["", "k", "M", "G"];
    let (mut number, mut unit) = (number.max(0.0), 0);
    while number >= 9_999.5 && unit + 1 < UNITS.len() {
        number /= 1000.0;
        unit += 1;
    }
    if unit > 0 && number >= 999.5 && unit + 1 < UNITS.len() {
        return format!("{:.1}{}", number / 1000.0, UNITS[unit + 1]);
    }
    if unit == 0 && number > 0.0 && number < 9.95 && number.fract() > 0.0 {
        return format!("{number:.1}");
    }
    format!("{number:.0}{}", UNITS[unit])
}

/// Formats milliseconds, from a second on as seconds.
pub fn millis(millis: f64) -> String {
    if millis < 1000.0 {
        format!("{}\u{a0}ms", amount(millis))
    } else {
        format!("{:.1}\u{a0}s", millis / 1000.0)
    }
}

/// Formats a time in UTC, to the second.
pub(super) fn utc(time: Time) -> String {
    let stamp = jiff::Timestamp::from_millisecond(time.millis() as i64).unwrap_or_default();
    stamp.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_look_as_people_write_them() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [-1.0, 0.0, 0.04, 9.94, 9.96, 1234.5].map(amount),
            ["0", "0", "0", "9.9", "10", "1,235"]
        );
        let short =
            [0.0, 7.0, 7.25, 9_999.0, 12_345.0, 999_400.0, 1_234_567.0, 5e9].map(short_count);
        assert_eq!(short, ["0", "7", "7.2", "9999", "12k", "999k", "1.2M", "5.0G"]);
        let short = [59, 61, 3_700, 90_000].map(|time| short_duration(Duration::from_secs(time)));
        assert_eq!(short, ["59s", "1m1s", "1h1m", "1d1h"]);
        let sizes = [0.0, 999.0, 1000.0, 64.0 * 1048576.0, 1000.0 * 1048576.0].map(bytes);
        assert_eq!(
            sizes,
            ["0\u{a0}B", "999\u{a0}B", "1.0\u{a0}KiB", "64\u{a0}MiB", "1.0\u{a0}GiB"]
        );
        let times =
            [0, 59, 61, 3_700, 90_000].map(|seconds| duration(Duration::from_secs(seconds)));
        assert_eq!(
            times,
            [
                "0\u{a0}s",
                "59\u{a0}s",
                "1\u{a0}min 1\u{a0}s",
                "1\u{a0}h 1\u{a0}min",
                "1\u{a0}d 1\u{a0}h"
            ]
        );
        assert_eq!([0.4, 250.0, 1500.0].map(millis), ["0.4\u{a0}ms", "250\u{a0}ms", "1.5\u{a0}s"]);
    }
}
