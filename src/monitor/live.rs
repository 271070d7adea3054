//! The live part of the first page: samples come from one task, and all who look share one rendering of each.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use askama::Template;
use bytes::Bytes;
use hyper::Response;
use tokio::sync::{OwnedSemaphorePermit, watch};

use crate::monitor::history::History;
use crate::monitor::page;
use crate::monitor::respond::{Body, streamed};
use crate::protocol::status::Status;

/// The media type of [`Live::stream`].
const EVENTS: &str = "text/event-stream";

/// The last status, and the minutes before it; at first without a sample.
#[derive(Default)]
pub struct Live {
    state: Mutex<State>,
    /// Changes with each sample.
    samples: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    history: History,
    /// `None`: no sample yet, or the cluster has ended.
    status: Option<Status>,
    /// The rendering of `status`, once somebody has looked.
    rendered: Option<Rendered>,
}

/// One rendering, in its two forms.
#[derive(Clone)]
struct Rendered {
    html: Arc<str>,
    event: Bytes,
}

impl Live {
    /// Adds a sample; `None` means that the cluster cannot be shown.
    pub fn add(&self, status: Option<Status>) {
        self.change(|state| {
            if let Some(status) = &status {
                state.history.add(status, Instant::now());
            }
            state.status = status;
            state.rendered = None;
        });
        self.samples.send_replace(());
    }

    /// The live part as HTML; `None` without a sample.
    pub fn html(&self) -> Option<Arc<str>> {
        Some(self.rendered()?.html)
    }

    /// A stream of events, each with the live part after a sample. Ends with the cluster. Holds `place` for as long as it lasts.
    pub fn stream(self: Arc<Self>, place: OwnedSemaphorePermit) -> Response<Body> {
        let mut samples = self.samples.subscribe();
        streamed(EVENTS, |pieces| async move {
            let _place = place;
            // Whoever reads slowly skips samples: there is never more than one piece on its way.
            while let Some(rendered) = self.rendered() {
                if !pieces.send(rendered.event).await || samples.changed().await.is_err() {
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
                    page::Live::new(status, &state.history).render().ok().map(Rendered::new);
            }
            state.rendered.clone()
        })
    }

    /// Nothing that runs under the lock panics half-way; if it did, the state would still be one.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
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
