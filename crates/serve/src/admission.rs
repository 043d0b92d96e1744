//! How many requests may be open at a time, and what each of them holds until the engine has its prompt.

use std::sync::Arc;

use axum::http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::body::BodyPermit;
use crate::error::ApiError;

/// Requests that were let in and whose answer has not been given or given up are at most so many.
pub(crate) struct ConcurrencyLimit {
    permits: Arc<Semaphore>,
    max: usize,
}

impl ConcurrencyLimit {
    pub(crate) fn new(max: usize) -> Self {
        let max = max.min(Semaphore::MAX_PERMITS);
        let permits = Arc::new(Semaphore::new(max));
        Self { permits, max }
    }

    /// Requests let in and not yet done with.
    pub(crate) fn open(&self) -> usize {
        self.max.saturating_sub(self.permits.available_permits())
    }

    /// Whether one more request would be let in; tells before a body is read.
    pub(crate) fn check_capacity(&self) -> Result<(), ApiError> {
        match self.permits.available_permits() {
            0 => Err(full(self.max)),
            _ => Ok(()),
        }
    }

    /// A permit for one request.
    pub(crate) fn acquire(&self) -> Result<RequestPermits, ApiError> {
        let permit = Arc::clone(&self.permits).try_acquire_owned();
        let max = self.max;
        Ok(RequestPermits {
            permit: permit.map_err(|_| full(max))?,
            max,
        })
    }
}

fn full(max: usize) -> ApiError {
    ApiError::busy(
        StatusCode::TOO_MANY_REQUESTS,
        format!("{max} requests are open, which is the limit (--max-concurrency): try again later"),
    )
}

/// Permits for requests, held from before their prompts are tokenised until their answers end.
pub(crate) struct RequestPermits {
    permit: OwnedSemaphorePermit,
    max: usize,
}

impl RequestPermits {
    /// Makes them at least `n`.
    pub(crate) fn raise_to(&mut self, n: usize) -> Result<(), ApiError> {
        let more = n.saturating_sub(self.permit.num_permits());
        let permits = Arc::clone(self.permit.semaphore());
        let more = u32::try_from(more)
            .ok()
            .and_then(|more| permits.try_acquire_many_owned(more).ok());
        self.permit.merge(more.ok_or_else(|| full(self.max))?);
        Ok(())
    }

    /// One of them, for a request that may outlive the others.
    pub(crate) fn split_one(&mut self) -> Option<OwnedSemaphorePermit> {
        self.permit.split(1)
    }
}

/// What a request holds until the engine has its prompt.
pub(crate) struct Admission {
    pub(crate) permits: RequestPermits,
    pub(crate) _body: Option<BodyPermit>,
}
