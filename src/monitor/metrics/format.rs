//! The two text formats, and the choice between them.

use std::collections::HashSet;
use std::fmt;

use hyper::header::HeaderMap;

use super::collector::text;
use crate::monitor::negotiation::prefers;
use crate::protocol::status::Status;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Returns the media type and the text of the format that the client prefers. Without a preference
/// that is the older one, which every tool reads.
pub(crate) fn page(
    status: Status,
    headers: &HeaderMap,
) -> Result<(&'static str, String), fmt::Error> {
    let text = text(status)?;
    let is_open = prefers(headers, "application/openmetrics-text", "text/plain");
    Ok(if is_open { (OPEN_METRICS, text) } else { (TEXT, classic(&text)) })
}

/// Converts OpenMetrics to the older format: the description of a counter has the name of its
/// series, which ends with `_total`, and there are no lines for units and for the end.
fn classic(text: &str) -> String {
    let described =
        |line: &str| line.strip_prefix("# TYPE ")?.strip_suffix(" counter").map(str::to_owned);
    let counters: HashSet<String> = text.lines().filter_map(described).collect();
    let mut classic = String::with_capacity(text.len());
    for line in text.lines().filter(|line| !line.starts_with("# UNIT ") && *line != "# EOF") {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some(kind), Some(name), Some(rest)) if counters.contains(name) => {
                classic.push_str(&format!("# {kind} {name}_total {rest}"));
            }
            _ => classic.push_str(line),
        }
        classic.push('\n');
    }
    classic
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::tests::status;

    #[test]
    fn clients_that_do_not_prefer_open_metrics_get_the_older_format() {
        let mut headers = HeaderMap::new();
        let (media, text) = page(status(), &headers).unwrap();
        assert_eq!(media, TEXT);
        for line in [
            "# TYPE cluster2_requests_total counter",
            "cluster2_requests_total 1000.0",
            "# TYPE cluster2_build_info gauge",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in:\n{text}");
        }
        assert!(text.contains("# HELP cluster2_worker_cpu_seconds_total Processor"), "{text}");
        assert!(!text.contains("# UNIT") && !text.contains("# EOF"), "{text}");
        let prometheus =
            "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        headers.insert(hyper::header::ACCEPT, prometheus.parse().unwrap());
        let (media, open) = page(status(), &headers).unwrap();
        assert_eq!(media, OPEN_METRICS);
        let series = |text: &str| {
            text.lines()
                .filter(|line| !line.starts_with('#'))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(series(&text), series(&open));
    }
}
