//! The list of log files, and one of them.

use askama::Template;

use super::frame::Frame;
use crate::monitor::format::{bytes, utc};
use crate::monitor::logs::LogFile;

#[derive(Template)]
#[template(path = "logs.html")]
pub(crate) struct LogsPage<'a> {
    pub(crate) frame: Frame<'a>,
    pub(crate) logs: &'a [LogFile],
}

/// One log in the page's frame, by JavaScript.
#[derive(Template)]
#[template(path = "log.html")]
pub(crate) struct LogPage<'a> {
    pub(crate) frame: Frame<'a>,
    pub(crate) name: &'a str,
    /// The path below `/logs/`, percent-encoded.
    pub(crate) link: &'a str,
}

impl LogFile {
    fn size_text(&self) -> String {
        bytes(self.size as f64)
    }

    fn modified_text(&self) -> String {
        utc(self.modified)
    }
}
