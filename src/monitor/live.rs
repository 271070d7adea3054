//! The live part of the overview. One task takes the samples, and all clients share one rendering
//! of each.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use askama::Template;
use bytes::Bytes;
use hyper::Response;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::chunks::streamed;
use super::history::History;
use super::pages::LiveView;
use super::response::Body;
use crate::protocol::status::Status;

/// The media type of [`LiveFeed::stream`].
const EVENT_STREAM: &str = "text/event-stream";

/// The last status and its history, without a sample at first.
#[derive(Default)]
pub(super) struct LiveFeed {
    state: Mutex<FeedState>,
    /// Changes with each sample.
    samples: watch::Sender<()>,
}

#[derive(Default)]
struct FeedState {
    history: History,
    /// `None`: no sample yet, or the cluster has ended.
    status: Option<Status>,
    /// The rendering of `status`, once a client has asked for it.
    rendered: Option<Rendered>,
}

/// One rendering, in its two forms.
#[derive(Clone)]
struct Rendered {
    html: Arc<str>,
    event: Bytes,
}

impl LiveFeed {
    /// Adds a sample. `None` means that the cluster cannot be shown.
    pub(super) fn add(&self, status: Option<Status>) {
        self.change(|state| {
            if let Some(status) = &status {
                state.history.add(status, Instant::now());
            }
            state.status = status;
            state.rendered = None;
        });
        self.samples.send_replace(());
    }

    /// Returns the live part as HTML, or `None` without a sample.
    pub(super) fn html(&self) -> Option<Arc<str>> {
        Some(self.rendered()?.html)
    }

    /// Returns a stream of events, one with the live part after each sample. Ends with the cluster,
    /// and holds `permit` until then.
    pub(super) fn stream(self: Arc<Self>, permit: OwnedSemaphorePermit) -> Response<Body> {
        let mut samples = self.samples.subscribe();
        streamed(EVENT_STREAM, |sender| async move {
            let _permit = permit;
            // A slow client skips samples: at most one chunk waits.
            while let Some(rendered) = self.rendered() {
                if !sender.send(rendered.event).await || samples.changed().await.is_err() {
                    return;
                }
            }
        })
    }

    fn rendered(&self) -> Option<Rendered> {
        self.change(|state| {
            let status = state.status.as_ref()?;
            if state.rendered.is_none() {
                state.rendered =
                    LiveView::new(status, &state.history).render().ok().map(Rendered::new);
            }
            state.rendered.clone()
        })
    }

    fn change<T>(&self, change: impl FnOnce(&mut FeedState) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Rendered {
    fn new(html: String) -> Self {
        let mut event = String::with_capacity(html.len() + html.len() / 16);
        for line in html.lines() {
            event.push_str("data: ");
            event.push_str(line);
            event.push('\n');
        }
        event.push('\n');
        Self { html: html.into(), event: event.into() }
    }
}
