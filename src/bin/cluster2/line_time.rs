//! The time that a line of a log begins with: in ISO 8601, or as a field of a JSON object, as
//! loggers write them.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::Value;

/// The fields of pino and bunyan, winston, zap, and Elastic's schema.
const FIELDS: [&str; 4] = ["time", "timestamp", "ts", "@timestamp"];
/// The length of `2026-01-31T12:00:00`.
const SECONDS: usize = 19;
/// A smaller number counts seconds, a larger one milliseconds: 1973 in milliseconds.
const MILLISECONDS: f64 = 1e11;

/// Returns the time of a line, if it has one.
pub(crate) fn of(line: &[u8]) -> Option<Timestamp> {
    if line.first() == Some(&b'{') {
        let object: Value = serde_json::from_slice(line).ok()?;
        return FIELDS.iter().find_map(|field| field_time(&object[field]));
    }
    // It may be in brackets.
    let line = line.strip_prefix(b"[").unwrap_or(line);
    let is_of_time = |byte: &u8| byte.is_ascii_digit() || b"-:.,+TZ ".contains(byte);
    let length = line.iter().position(|byte| !is_of_time(byte)).unwrap_or(line.len());
    text_time(std::str::from_utf8(&line[..length]).ok()?)
}

fn field_time(field: &Value) -> Option<Timestamp> {
    match field {
        Value::String(text) => text_time(text),
        Value::Number(number) => {
            let number = number.as_f64()?;
            let millis = if number < MILLISECONDS { number * 1_000.0 } else { number };
            Timestamp::from_millisecond(millis as i64).ok()
        }
        _ => None,
    }
}

/// Reads `2026-01-31T12:00:00.123Z`, `2026-01-31 12:00:00,123`. Without an offset it is local.
fn text_time(text: &str) -> Option<Timestamp> {
    let (begin, rest) = text.split_at_checked(SECONDS)?;
    let rest = rest.split(' ').next()?.replace(',', ".");
    let text = format!("{}T{}{rest}", begin.get(..10)?, begin.get(11..)?);
    text.parse().ok().or_else(|| {
        let local: DateTime = text.trim_end_matches(['.', '-', ':']).parse().ok()?;
        Some(local.to_zoned(TimeZone::system()).ok()?.timestamp())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_usual_loggers_are_found() {
        let time = "2026-01-31T12:00:00.5Z".parse::<Timestamp>().unwrap();
        for line in [
            "2026-01-31T12:00:00.500Z cluster2: started",
            "2026-01-31 12:00:00.5Z done",
            "[2026-01-31T13:00:00.500+01:00] done",
            r#"{"level":30,"time":1769860800500,"msg":"pino"}"#,
            r#"{"ts":1769860800.5,"msg":"zap"}"#,
            r#"{"timestamp":"2026-01-31T12:00:00.500Z","message":"winston"}"#,
            r#"{"@timestamp":"2026-01-31T12:00:00.500Z"}"#,
        ] {
            assert_eq!(of(line.as_bytes()), Some(time), "{line}");
        }
        let local = DateTime::constant(2026, 1, 31, 12, 0, 0, 500_000_000);
        let local = local.to_zoned(TimeZone::system()).unwrap().timestamp();
        for line in
            ["2026-01-31 12:00:00,500 done", "2026-01-31T12:00:00.5", "[2026-01-31 12:00:00.5]"]
        {
            assert_eq!(of(line.as_bytes()), Some(local), "{line}");
        }
    }

    #[test]
    fn other_lines_have_no_time() {
        for line in [
            "",
            "there",
            "    at f (a.js:1:2)",
            "12:00:00 x",
            "2026-13-31T12:00:00Z",
            "{",
            r#"{"time":"soon"}"#,
            "2026-01-31",
        ] {
            assert_eq!(of(line.as_bytes()), None, "{line}");
        }
    }
}
