//! The list of log files.

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

impl LogFile {
    fn size_text(&self) -> String {
        bytes(self.size as f64)
    }

    fn modified_text(&self) -> String {
        utc(self.modified)
    }
}
