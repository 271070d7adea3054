//! Complete responses: their bodies, the headers that all of them carry, and the errors.

use std::error::Error;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

/// A complete page, or a stream.
pub(super) type Body = UnsyncBoxBody<Bytes, Box<dyn Error + Send + Sync>>;

pub(super) const HTML: &str = "text/html; charset=utf-8";
pub(super) const JSON: &str = "application/json";
pub(super) const TEXT: &str = "text/plain; charset=utf-8";

/// Headers of every response. The pages need nothing from other servers, so they may not load it.
const PROTECTION: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
         img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// The reason why a request gets no page.
#[derive(Debug, Clone)]
pub(super) struct PageError {
    pub(super) status: StatusCode,
    /// A text for the client.
    pub(super) text: String,
    /// A header that belongs to the status: `Allow` for 405.
    pub(super) header: Option<(HeaderName, HeaderValue)>,
}

pub(super) type PageResult = Result<Response<Body>, PageError>;

impl PageError {
    /// Returns an error without a header.
    pub(super) fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into(), header: None }
    }

    /// Returns the error for an unknown page or file.
    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "There is nothing at this address.")
    }

    /// Returns the error for a failure of our own.
    pub(super) fn internal(error: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    }
}

/// Returns a response with a complete body.
pub(super) fn whole(
    status: StatusCode,
    media: &'static str,
    body: impl Into<Bytes>,
) -> Response<Body> {
    let body = body.into();
    let length = body.len();
    let mut response =
        Response::new(Full::new(body).map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    response
}

/// Returns `value` as JSON, indented for people. A value that cannot be serialised gives 500.
pub(super) fn json(status: StatusCode, value: &impl serde::Serialize) -> Response<Body> {
    match serde_json::to_vec_pretty(value) {
        Ok(mut text) => {
            text.push(b'\n');
            whole(status, JSON, text)
        }
        Err(error) => whole(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{error}\n")),
    }
}

/// Adds the headers of every response. Without a `Cache-Control` of its own, it may not be stored.
pub(super) fn protect(response: &mut Response<Body>) {
    let headers = response.headers_mut();
    for (name, value) in PROTECTION {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

/// Returns the response to HEAD: without its body, with its length if that is known.
pub(super) fn without_body(response: Response<Body>) -> Response<Body> {
    response.map(|_| Full::default().map_err(|never| match never {}).boxed_unsync())
}
