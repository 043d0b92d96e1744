//! Bodies of requests: their length, their time, and the room that all of them together may take.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::http::{StatusCode, header};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::api;
use crate::app::App;
use crate::error::ApiError;
use crate::hub::Places;
use crate::metrics::Counting;

/// A body of this length takes no room: a connection's buffer holds as much anyway.
const SMALL: usize = 64 << 10;
/// What room is counted in.
const UNIT: usize = 1 << 10;

/// Room for bodies, and for the texts and tokens in them.
pub(crate) struct Room(Arc<Semaphore>);

impl Room {
    pub(crate) fn new(bytes: usize) -> Self {
        let units = bytes.div_ceil(UNIT).min(Semaphore::MAX_PERMITS);
        Self(Arc::new(Semaphore::new(units)))
    }
}

/// Room that one request has.
struct Taken {
    permit: OwnedSemaphorePermit,
    _counted: Counting,
}

impl Taken {
    fn new(app: &App, permit: OwnedSemaphorePermit) -> Self {
        let bytes = permit.num_permits() * UNIT;
        Self {
            permit,
            _counted: Counting::new(&app.hub, |metrics| &metrics.body_bytes, bytes),
        }
    }

    /// What is left when the body turned out to be this long.
    fn shrunk(mut self, app: &App, bytes: usize) -> Option<Self> {
        if bytes <= SMALL {
            return None;
        }
        let permit = self.permit.split(bytes.div_ceil(UNIT));
        permit.map(|permit| Self::new(app, permit))
    }
}

/// What a request holds until the engine has its prompt.
pub(crate) struct Held {
    pub(crate) places: Places,
    _room: Option<Taken>,
}

/// A request that wants tokens, with its body.
pub(crate) struct Work {
    body: Vec<u8>,
    held: Held,
}

impl Work {
    /// Reads the body, once there is room for it.
    pub(crate) async fn read(app: &App, request: Request) -> Result<Self, ApiError> {
        let limit = app.settings.max_body_bytes;
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
        let most = announced.map_or(limit, |bytes| bytes as usize);
        let wait = app.settings.read_timeout;
        let deadline = Instant::now() + wait;
        let mut room = take(app, most, deadline).await?;
        let mut bytes = Vec::with_capacity(announced.map_or(0, |_| most));
        let mut body = request.into_body();
        loop {
            let frame = timeout_at(deadline, body.frame()).await;
            let Some(frame) = frame.map_err(|_| late(wait))? else {
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
            room = room.and_then(|taken| taken.shrunk(app, bytes.len()));
        }
        Ok(Self {
            body: bytes,
            held: Held {
                places: app.hub.place()?,
                _room: room,
            },
        })
    }

    /// What is asked for; the bytes are gone then.
    pub(crate) fn parse<T: DeserializeOwned>(self) -> Result<(T, Held), ApiError> {
        Ok((api::parse(&self.body)?, self.held))
    }
}

fn late(wait: Duration) -> ApiError {
    let message = format!("the body did not arrive within {} s", wait.as_secs_f64());
    ApiError::new(StatusCode::REQUEST_TIMEOUT, message)
}

async fn take(app: &App, bytes: usize, deadline: Instant) -> Result<Option<Taken>, ApiError> {
    if bytes <= SMALL {
        return Ok(None);
    }
    // No longer than a body may be, which the room is made for.
    let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
    let waiting = Counting::new(&app.hub, |metrics| &metrics.bodies_waiting, 1);
    let permit = Arc::clone(&app.room.0).acquire_many_owned(units);
    match timeout_at(deadline, permit).await {
        Ok(Ok(permit)) => {
            drop(waiting);
            Ok(Some(Taken::new(app, permit)))
        }
        // The semaphore is never closed: this is time that has passed.
        Ok(Err(_)) | Err(_) => Err(ApiError::busy(
            StatusCode::TOO_MANY_REQUESTS,
            "long requests take all the room there is for bodies: try again later",
        )),
    }
}
