//! The overview, the first page.

use askama::Template;

use super::frame::Frame;

#[derive(Template)]
#[template(path = "overview.html")]
pub(crate) struct OverviewPage<'a> {
    pub(crate) frame: Frame<'a>,
    /// The live part as it is now.
    pub(crate) live: &'a str,
}
