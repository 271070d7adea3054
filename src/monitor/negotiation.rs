//! The form of a response that the client prefers, by its `Accept` header.

use hyper::header::{self, HeaderMap};

/// Whether the client prefers JSON to a page.
pub(super) fn prefers_json(headers: &HeaderMap) -> bool {
    prefers(headers, "application/json", "text/html")
}

/// Whether the client named the media type `one`, and prefers it to `other`.
pub(super) fn prefers(headers: &HeaderMap, one: &str, other: &str) -> bool {
    let quality = |wanted: &str| {
        let accepted =
            headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let ranges = accepted.flat_map(|value| value.split(','));
        ranges.filter_map(|range| weight(range, wanted)).fold(0.0, f32::max)
    };
    quality(one) > quality(other)
}

/// Returns the weight that a media range of an `Accept` header gives to exactly `wanted`.
fn weight(range: &str, wanted: &str) -> Option<f32> {
    let mut parts = range.split(';').map(str::trim);
    let name = parts.next()?;
    if !name.eq_ignore_ascii_case(wanted) {
        return None;
    }
    let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    Some(weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_for_clients_that_prefer_it() {
        let cases = [
            ("application/json", true),
            ("application/json, text/plain, */*", true),
            ("text/html;q=0.5, Application/JSON;q=0.9", true),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", false),
            ("text/html, application/json", false),
            ("*/*", false),
            ("application/json;q=0", false),
            ("application/json;q=nonsense", false),
            ("", false),
        ];
        for (accept, wanted) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            assert_eq!(prefers_json(&headers), wanted, "{accept}");
        }
        assert!(!prefers_json(&HeaderMap::new()));
    }
}
