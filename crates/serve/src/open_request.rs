//! An open request, as the connection that waits for its answer has it.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::OwnedSemaphorePermit;

use crate::admission::Admission;
use crate::answer_buffer::AnswerBuffer;
use crate::answer_delta::{AnswerDelta, FinishReason};
use crate::error::ApiError;
use crate::new_request::NewRequest;
use crate::request_registry::RequestRegistry;

/// An open request. Dropped before its end, it is cancelled: nobody waits for it any more.
pub(crate) struct OpenRequest {
    pub(crate) id: u64,
    registry: Arc<RequestRegistry>,
    buffer: Arc<AnswerBuffer>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl OpenRequest {
    /// Hands requests to the engine, all or none. `interval` as in [`AnswerBuffer`].
    pub(crate) fn submit(
        registry: &Arc<RequestRegistry>,
        mut admission: Admission,
        requests: Vec<NewRequest>,
        interval: Option<usize>,
    ) -> Result<Vec<Self>, ApiError> {
        admission.permits.raise_to(requests.len())?;
        let opened = registry.submit(requests, interval)?;
        let request = |(id, buffer)| Self {
            id,
            registry: Arc::clone(registry),
            buffer,
            _permit: admission.permits.split_one(),
        };
        Ok(opened.into_iter().map(request).collect())
    }

    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<AnswerDelta> {
        self.buffer.poll(cx)
    }

    /// Waits for the first token; an error when the request failed before it.
    pub(crate) async fn first_token(&self) -> Result<(), ApiError> {
        match poll_fn(|cx| self.buffer.poll_first_token(cx)).await {
            Some(FinishReason::Failed(message)) => Err(ApiError::engine(message)),
            _ => Ok(()),
        }
    }

    /// Waits for the whole answer of a request that does not stream.
    pub(crate) async fn answer(&self) -> Result<AnswerDelta, ApiError> {
        let delta = poll_fn(|cx| self.buffer.poll(cx)).await;
        match delta.finish_reason {
            Some(FinishReason::Failed(message)) => Err(ApiError::engine(message)),
            Some(_) => Ok(delta),
            None => Err(ApiError::engine(
                "the answer was read before its end: a defect, please report it",
            )),
        }
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        if !self.buffer.has_finished() {
            self.registry.cancel(self.id);
        }
    }
}
