//! The parts that all pages share, and the page of an error.

use askama::Template;
use hyper::{Response, StatusCode};

use crate::monitor::response::{Body, HTML, PageError, PageResult, TEXT, whole};

/// The surroundings of a page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame<'a> {
    /// The beginning of every path.
    pub(crate) prefix: &'a str,
    /// What people call the cluster.
    pub(crate) name: &'a str,
    /// The name of the page, as in the navigation.
    pub(crate) title: &'static str,
}

/// Returns a page as a response. A template that fails is an error of our own.
pub(crate) fn render(status: StatusCode, page: &impl Template) -> PageResult {
    page.render().map(|text| whole(status, HTML, text)).map_err(PageError::internal)
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    frame: Frame<'a>,
    code: u16,
    reason: &'a str,
    text: &'a str,
}

/// Returns an error as a page.
pub(crate) fn error_page(frame: Frame<'_>, error: &PageError) -> Response<Body> {
    let reason = error.status.canonical_reason().unwrap_or("Problem");
    let page = ErrorPage { frame, code: error.status.as_u16(), reason, text: &error.text };
    render(error.status, &page).unwrap_or_else(|error| whole(error.status, TEXT, error.text))
}
