//! The files that pages load: style, script and icon. They are built in. Browsers keep them, and
//! ask whether they have changed.

use std::hash::{DefaultHasher, Hash, Hasher};

use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Response, StatusCode};

use crate::monitor::response::{Body, whole};

struct Asset {
    path: &'static str,
    media: &'static str,
    text: &'static str,
}

const ASSETS: [Asset; 4] = [
    Asset {
        path: "/style.css",
        media: "text/css; charset=utf-8",
        text: include_str!("../../../templates/style.css"),
    },
    Asset {
        path: "/script.js",
        media: "text/javascript; charset=utf-8",
        text: include_str!("../../../templates/script.js"),
    },
    Asset {
        path: "/log.js",
        media: "text/javascript; charset=utf-8",
        text: include_str!("../../../templates/log.js"),
    },
    Asset {
        path: "/icon.svg",
        media: "image/svg+xml",
        text: include_str!("../../../templates/icon.svg"),
    },
];

/// Returns the asset at `path`, or 304 if the client has it already. `None`: there is no such
/// asset.
pub(crate) fn asset(path: &str, headers: &HeaderMap) -> Option<Response<Body>> {
    let asset = ASSETS.iter().find(|asset| asset.path == path)?;
    let tag = tag(asset.text);
    let known =
        headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let unchanged = known
        .flat_map(|value| value.split(','))
        .any(|known| known.trim().trim_start_matches("W/") == tag);
    let mut response = if unchanged {
        let mut response = whole(StatusCode::NOT_MODIFIED, asset.media, "");
        response.headers_mut().remove(header::CONTENT_LENGTH);
        response
    } else {
        whole(StatusCode::OK, asset.media, asset.text)
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(tag) = HeaderValue::try_from(tag) {
        headers.insert(header::ETAG, tag);
    }
    Some(response)
}

/// Returns the entity tag of a text.
fn tag(text: &str) -> String {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
}
