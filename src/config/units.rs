//! Times and sizes with a unit: `90s`, `300M`.

use serde_json::Value;

use super::values::{MAX_NUMBER, whole};

/// A kind of quantity: its units, and how messages describe it.
pub(super) struct Quantity {
    /// What a bare number counts.
    pub(super) base: &'static str,
    /// An example with a unit.
    pub(super) example: &'static str,
    /// Names of units, lower case, and how many of the base each is.
    units: &'static [(&'static str, u64)],
}

const SECOND: u64 = 1_000;

/// Times in milliseconds.
pub(super) const MILLIS: Quantity = Quantity {
    base: "milliseconds",
    example: "a time such as '90s'",
    units: &[
        ("ms", 1),
        ("s", SECOND),
        ("m", 60 * SECOND),
        ("h", 3_600 * SECOND),
        ("d", 86_400 * SECOND),
    ],
};

/// Times in seconds.
pub(super) const SECONDS: Quantity = Quantity {
    base: "seconds",
    example: "a time such as '12h'",
    units: &[("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)],
};

/// Sizes in bytes. As with PM2, systemd and Java, a `K` is 1,024 bytes.
pub(super) const BYTES: Quantity = Quantity {
    base: "bytes",
    example: "a size such as '300M'",
    units: &[
        ("b", 1),
        ("k", 1 << 10),
        ("kb", 1 << 10),
        ("kib", 1 << 10),
        ("m", 1 << 20),
        ("mb", 1 << 20),
        ("mib", 1 << 20),
        ("g", 1 << 30),
        ("gb", 1 << 30),
        ("gib", 1 << 30),
    ],
};

impl Quantity {
    /// Reads a whole number of the base, or a text with a number and a unit, in any case. A
    /// fraction (`1.5G`) is rounded down, but never to 0, which would turn a limit off.
    pub(super) fn read(&self, value: &Value) -> Option<u64> {
        whole(value).or_else(|| self.read_text(value.as_str()?.trim()))
    }

    fn read_text(&self, text: &str) -> Option<u64> {
        let end = text.find(|c: char| c.is_ascii_alphabetic())?;
        let (number, unit) = text.split_at(end);
        let unit = unit.to_ascii_lowercase();
        let (_, factor) = self.units.iter().find(|(name, _)| *name == unit)?;
        let value = decimal(number.trim_end())? * *factor as f64;
        let is_good = value == 0.0 || (1.0..=MAX_NUMBER as f64).contains(&value);
        is_good.then_some(value as u64)
    }
}

/// Reads digits, perhaps with a fraction.
fn decimal(text: &str) -> Option<f64> {
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (number, fraction) = text.split_once('.').unwrap_or((text, "0"));
    (is_digits(number) && is_digits(fraction)).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_number_counts_the_base_and_a_unit_multiplies_it() {
        let millis = |value: Value| MILLIS.read(&value);
        assert_eq!(millis(json!(90)), Some(90));
        assert_eq!(millis(json!("90")), Some(90));
        assert_eq!(millis(json!("90ms")), Some(90));
        assert_eq!(millis(json!(" 1.5 S ")), Some(1_500));
        assert_eq!(millis(json!("2h")), Some(7_200_000));
        assert_eq!(SECONDS.read(&json!("1d")), Some(86_400));
        assert_eq!(BYTES.read(&json!("300M")), Some(300 << 20));
        assert_eq!(BYTES.read(&json!("1.5GiB")), Some(3 << 29));
    }

    #[test]
    fn what_is_no_quantity_is_refused_and_no_fraction_becomes_nothing() {
        for wrong in ["", "s", "ten s", "-1s", "1e3s", "1.s", ".5s", "1 s s", "5 parsecs", "5M"] {
            assert_eq!(SECONDS.read(&json!(wrong)).filter(|_| wrong != "5M"), None, "{wrong}");
        }
        assert_eq!(SECONDS.read(&json!("500ms")), None, "seconds are whole");
        assert_eq!(MILLIS.read(&json!("0.5ms")), None);
        assert_eq!(MILLIS.read(&json!("0s")), Some(0));
        assert_eq!(BYTES.read(&json!("99999999G")), None);
    }
}
