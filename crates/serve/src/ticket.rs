//! An open request, as the connection that waits for its answer has it.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::OwnedSemaphorePermit;

use crate::admission::Held;
use crate::error::ApiError;
use crate::hub::Hub;
use crate::job::Job;
use crate::slot::{Ended, News, Slot};

/// An open request. Dropped before its end, it is cancelled: nobody waits for it any more.
pub(crate) struct Ticket {
    pub(crate) id: u64,
    hub: Arc<Hub>,
    slot: Arc<Slot>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Ticket {
    /// Hands requests to the engine, all or none. `interval` as in [`Slot`].
    pub(crate) fn submit(
        hub: &Arc<Hub>,
        mut held: Held,
        jobs: Vec<Job>,
        interval: Option<usize>,
    ) -> Result<Vec<Self>, ApiError> {
        held.places.widen(jobs.len())?;
        let opened = hub.submit(jobs, interval)?;
        let ticket = |(id, slot)| Self {
            id,
            hub: Arc::clone(hub),
            slot,
            _place: held.places.split_one(),
        };
        Ok(opened.into_iter().map(ticket).collect())
    }

    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<News> {
        self.slot.poll(cx)
    }

    /// Waits for the first token; an error when the request failed before it.
    pub(crate) async fn begun(&self) -> Result<(), ApiError> {
        match poll_fn(|cx| self.slot.poll_begun(cx)).await {
            Some(Ended::Failed(message)) => Err(ApiError::engine(message)),
            _ => Ok(()),
        }
    }

    /// Waits for the whole answer of a request that does not stream.
    pub(crate) async fn answer(&self) -> Result<News, ApiError> {
        let news = poll_fn(|cx| self.slot.poll(cx)).await;
        match news.ended {
            Some(Ended::Failed(message)) => Err(ApiError::engine(message)),
            Some(_) => Ok(news),
            None => Err(ApiError::engine(
                "the answer was read before its end: a defect, please report it",
            )),
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.slot.has_ended() {
            self.hub.cancel(self.id);
        }
    }
}
