//! Single JSON values of the options.

use serde_json::Value;

/// The largest whole number that JavaScript holds exactly.
pub(super) const MAX_NUMBER: u64 = (1 << 53) - 1;

/// Reads a whole number, which may be a numeric string, as from an environment variable.
pub(super) fn whole(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64().or_else(|| {
            let float = number.as_f64()?;
            (float >= 0.0 && float.fract() == 0.0 && float <= MAX_NUMBER as f64)
                .then_some(float as u64)
        }),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// Reads an argument or the value of a variable: a text that may be empty, or a number, which users
/// of `process.env` write.
pub(super) fn argument(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.contains('\0') => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Whether a text is neither empty nor cut short by a NUL in C.
pub(super) fn is_text(text: &str) -> bool {
    !text.is_empty() && !text.contains('\0')
}

/// Whether a health check can probe it: a path on the app, or a URL.
pub(super) fn is_probe_target(text: &str) -> bool {
    let Ok(uri) = text.parse::<hyper::Uri>() else { return false };
    let is_url = matches!(uri.scheme_str(), Some("http" | "https"))
        && uri.host().is_some_and(|host| !host.is_empty());
    // The URL is shown in several places, its user and password too; and no probe sends them.
    let has_user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
    (is_url && !has_user) || text.starts_with('/')
}

/// Shows a value in a message, shortened.
pub(super) fn show(value: &Value) -> String {
    if let Some(kind) = value.get("$type").and_then(Value::as_str) {
        return kind.to_owned();
    }
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
