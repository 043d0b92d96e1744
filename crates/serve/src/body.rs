//! Bodies of requests: their length, their time, and the room that all of them together may take.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::http::{StatusCode, header};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::error::ApiError;
use crate::metrics::{GaugeGuard, Metrics};
use crate::settings::Settings;

/// A body of this length takes no room: a connection's buffer holds as much anyway.
const SMALL_BODY: usize = 64 << 10;
/// What room is counted in.
const PERMIT_BYTES: usize = 1 << 10;

/// Reads bodies, and has room for them and for the texts and tokens in them.
pub(crate) struct BodyReader {
    room: Arc<Semaphore>,
    max_bytes: usize,
    timeout: Duration,
    metrics: Arc<Metrics>,
}

/// Room that one request has.
pub(crate) struct BodyPermit {
    permit: OwnedSemaphorePermit,
    _counted: GaugeGuard,
}

impl BodyReader {
    pub(crate) fn new(settings: &Settings, metrics: &Arc<Metrics>) -> Self {
        let bytes = settings.max_total_body_bytes.max(settings.max_body_bytes);
        let units = bytes.div_ceil(PERMIT_BYTES).min(Semaphore::MAX_PERMITS);
        Self {
            room: Arc::new(Semaphore::new(units)),
            max_bytes: settings.max_body_bytes,
            timeout: settings.read_timeout,
            metrics: Arc::clone(metrics),
        }
    }

    /// Reads a body, once there is room for it.
    pub(crate) async fn read(
        &self,
        request: Request,
    ) -> Result<(Vec<u8>, Option<BodyPermit>), ApiError> {
        let limit = self.max_bytes;
        let too_long = || {
            let message = format!("the body is longer than {limit} bytes (--max-body-mib)");
            ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, message)
        };
        let announced = request.headers().get(header::CONTENT_LENGTH);
        let announced = announced
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.parse::<u64>().ok());
        if announced.is_some_and(|bytes| bytes > limit as u64) {
            return Err(too_long());
        }
        let max = announced.map_or(limit, |bytes| bytes as usize);
        let deadline = Instant::now() + self.timeout;
        let mut permit = self.acquire(max, deadline).await?;
        let mut bytes = Vec::with_capacity(announced.map_or(0, |_| max));
        let mut body = request.into_body();
        loop {
            let frame = timeout_at(deadline, body.frame()).await;
            let Some(frame) = frame.map_err(|_| self.timed_out())? else {
                break;
            };
            let frame = frame
                .map_err(|error| ApiError::bad(format!("the body could not be read: {error}")))?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            if bytes.len() + data.len() > limit {
                return Err(too_long());
            }
            bytes.extend_from_slice(&data);
        }
        if announced.is_none() {
            // The most that could have come was taken.
            bytes.shrink_to_fit();
            permit = permit.and_then(|permit| self.shrink(permit, bytes.len()));
        }
        Ok((bytes, permit))
    }

    async fn acquire(
        &self,
        bytes: usize,
        deadline: Instant,
    ) -> Result<Option<BodyPermit>, ApiError> {
        if bytes <= SMALL_BODY {
            return Ok(None);
        }
        // No longer than a body may be, which the room is made for.
        let units = u32::try_from(bytes.div_ceil(PERMIT_BYTES)).unwrap_or(u32::MAX);
        let waiting = GaugeGuard::new(&self.metrics, |metrics| &metrics.bodies_waiting, 1);
        let permit = Arc::clone(&self.room).acquire_many_owned(units);
        match timeout_at(deadline, permit).await {
            Ok(Ok(permit)) => {
                drop(waiting);
                Ok(Some(self.counted(permit)))
            }
            // The semaphore is never closed: this is time that has passed.
            Ok(Err(_)) | Err(_) => Err(ApiError::busy(
                StatusCode::TOO_MANY_REQUESTS,
                "long requests take all the room there is for bodies: try again later",
            )),
        }
    }

    fn counted(&self, permit: OwnedSemaphorePermit) -> BodyPermit {
        let bytes = permit.num_permits() * PERMIT_BYTES;
        BodyPermit {
            permit,
            _counted: GaugeGuard::new(&self.metrics, |metrics| &metrics.body_bytes, bytes),
        }
    }

    /// What is left when the body turned out to be this long.
    fn shrink(&self, mut all: BodyPermit, bytes: usize) -> Option<BodyPermit> {
        if bytes <= SMALL_BODY {
            return None;
        }
        let permit = all.permit.split(bytes.div_ceil(PERMIT_BYTES));
        permit.map(|permit| self.counted(permit))
    }

    fn timed_out(&self) -> ApiError {
        let seconds = self.timeout.as_secs_f64();
        let message = format!("the body did not arrive within {seconds} s");
        ApiError::new(StatusCode::REQUEST_TIMEOUT, message)
    }
}

/// A body as JSON, or what is wrong with it and where; the bytes are gone then.
pub(crate) fn parse<T: DeserializeOwned>(body: Vec<u8>) -> Result<T, ApiError> {
    serde_json::from_slice(&body)
        .map_err(|error| ApiError::bad(format!("the body is no valid request: {error}")))
}
