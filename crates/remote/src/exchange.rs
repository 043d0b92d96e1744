//! One request from being sent to its last token: attempts, time limit, and the reading of the response.

use std::time::Duration;

use bytes::Bytes;
use ossmark_protocol::{End, MAX_SEED, Request};
use tokio::sync::Notify;

use crate::Settings;
use crate::answer::Answer;
use crate::balancer::Balancer;
use crate::connection::Connection;
use crate::http::{cause, post};
use crate::lane::Lane;
use crate::outbox::{OpenRequest, Outbox};
use crate::quote::quote_bytes;
use crate::sse::Decoder;
use crate::stats::count;

/// A cumulative event of 32,768 ids is 260 KB, its text, mostly ASCII, about as long.
const EVENT_BYTES: usize = 16 << 20;
const RESPONSE_BYTES: usize = 64 << 20;
/// Between two attempts to connect; doubled each time.
const BACK_OFF: Duration = Duration::from_millis(50);
/// What may still come after a stream's `[DONE]` before the connection is not worth keeping.
const AFTER_DONE: Duration = Duration::from_millis(200);

/// Why an attempt brought no answer.
struct AttemptError {
    what: String,
    /// Nothing of the response had come: the request may be sent again.
    retryable: bool,
    /// The server as a whole is failing, not this connection.
    server_failing: bool,
}

impl AttemptError {
    fn late(what: String) -> Self {
        Self {
            what,
            retryable: false,
            server_failing: false,
        }
    }
}

/// What every exchange needs.
pub(crate) struct Client {
    pub(crate) settings: Settings,
    pub(crate) balancer: Balancer,
    pub(crate) outbox: Outbox,
}

/// Sends a request to `lane`, or where retries lead it, and ends it. Returns the lane that it ended on.
pub(crate) async fn exchange(
    client: &Client,
    mut lane: usize,
    request: Request,
    cancel: &Notify,
) -> usize {
    let open = OpenRequest::new(request.id, &client.outbox);
    let mut progress = Progress {
        answer: Answer::new(request.prompt.len(), request.max_new_tokens),
        reported: 0,
    };
    let tries = attempts(client, &mut lane, &request, &open, &mut progress);
    let limited = tokio::time::timeout(client.settings.timeout, tries);
    let outcome = tokio::select! {
        biased;
        outcome = limited => Some(outcome),
        () = cancel.notified() => None,
    };
    let rest = &progress.answer.tokens()[progress.reported..];
    let url = &client.balancer.lane(lane).endpoint;
    match outcome {
        None => open.end(lane, rest, End::Cancelled),
        Some(Ok(Ok(end))) => open.end(lane, rest, end),
        Some(Ok(Err(what))) => open.end(lane, &[], End::Failed(format!("{url}: {what}"))),
        Some(Err(_)) => {
            let counters = &client.outbox.counters;
            count(&counters.timed_out);
            count(&counters.by_endpoint[lane].timed_out);
            let what = format!(
                "{url}: no complete answer within {} s, {} token(s) so far",
                client.settings.timeout.as_secs_f64(),
                progress.answer.tokens().len()
            );
            open.end(lane, &[], End::Failed(what));
        }
    }
    lane
}

/// What a request has got so far; outlives the future that a time-out drops.
struct Progress {
    answer: Answer,
    /// Tokens that the sink has seen.
    reported: usize,
}

async fn attempts(
    client: &Client,
    lane: &mut usize,
    request: &Request,
    open: &OpenRequest<'_>,
    progress: &mut Progress,
) -> Result<End, String> {
    let stream = client.settings.stream;
    // Sent as it is or not at all: another seed is another answer.
    if request.seed > MAX_SEED {
        let seed = request.seed;
        return Err(format!(
            "the request's seed is {seed}, servers take at most {MAX_SEED}"
        ));
    }
    let mut tried = 0;
    loop {
        let here = client.balancer.lane(*lane);
        let body = here.dialect.body(request, stream).into();
        let error = match attempt(client, here, body, tried > 0, open, progress).await {
            Ok(end) => return Ok(end),
            Err(error) => error,
        };
        if error.server_failing {
            here.mark_unhealthy();
        }
        if !error.retryable || tried == client.settings.retries {
            return Err(match tried {
                0 => error.what,
                n => format!("{} (sent {} times)", error.what, n + 1),
            });
        }
        if error.server_failing {
            tokio::time::sleep(BACK_OFF * 2u32.saturating_pow(tried)).await;
        }
        tried += 1;
        count(&client.outbox.counters.retries);
        *lane = client.balancer.move_on(*lane);
    }
}

async fn attempt(
    client: &Client,
    lane: &Lane,
    body: Bytes,
    fresh: bool,
    open: &OpenRequest<'_>,
    progress: &mut Progress,
) -> Result<End, AttemptError> {
    let idle = if fresh { None } else { lane.take_idle().await };
    let mut connection = match idle {
        Some(connection) => connection,
        None => {
            count(&client.outbox.counters.connections);
            Connection::open(&lane.target)
                .await
                .map_err(|what| AttemptError {
                    what,
                    retryable: true,
                    server_failing: true,
                })?
        }
    };
    let before = connection.bytes_read();
    let sent = connection.send(post(&lane.uri, &lane.headers, body)).await;
    let response = sent.map_err(|error| {
        let retryable = connection.bytes_read() == before;
        let when = if retryable { "before" } else { "while" };
        AttemptError {
            what: format!(
                "the connection broke {when} the response began: {}",
                cause(&error)
            ),
            retryable,
            server_failing: false,
        }
    })?;
    let mut body = response.body().await.map_err(|refused| AttemptError {
        server_failing: refused.status.is_server_error() || refused.status.as_u16() == 429,
        ..AttemptError::late(refused.what)
    })?;
    if !client.settings.stream {
        let body = body
            .whole(RESPONSE_BYTES)
            .await
            .map_err(AttemptError::late)?;
        lane.dialect
            .take_response(&body, &mut progress.answer)
            .map_err(AttemptError::late)?;
        let end = progress.answer.finish().map_err(AttemptError::late)?;
        lane.put_idle(connection);
        return Ok(end);
    }
    if !body.is_event_stream() {
        let what = "asked for a stream, but the response is no text/event-stream";
        return Err(AttemptError::late(what.into()));
    }
    let mut decoder = Decoder::new(EVENT_BYTES);
    loop {
        let bytes = body.next_chunk().await.map_err(AttemptError::late)?;
        let Some(bytes) = bytes else {
            return Err(AttemptError::late(format!(
                "the stream ended after {} token(s), before [DONE]",
                progress.answer.tokens().len()
            )));
        };
        if take(lane, &mut decoder, &bytes, &mut progress.answer).map_err(AttemptError::late)? {
            break;
        }
        let tokens = progress.answer.tokens();
        open.tokens(&tokens[progress.reported..]);
        progress.reported = tokens.len();
    }
    let end = progress.answer.finish().map_err(AttemptError::late)?;
    // The end of the body follows at once, from a server that means to keep the connection.
    let rest = tokio::time::timeout(AFTER_DONE, body.next_chunk()).await;
    if matches!(rest, Ok(Ok(None))) {
        lane.put_idle(connection);
    }
    Ok(end)
}

/// Takes what the socket brought; whether the stream is done.
fn take(
    lane: &Lane,
    decoder: &mut Decoder,
    bytes: &[u8],
    answer: &mut Answer,
) -> Result<bool, String> {
    let mut taken = Ok(false);
    let fed = decoder.feed(bytes, |event| {
        // What follows the end or an error is not looked at.
        if taken == Ok(false) {
            taken = match event.kind {
                b"" | b"message" => lane.dialect.take_chunk(event.data, answer),
                kind => Err(format!(
                    "the stream holds an event of kind {}: {}",
                    quote_bytes(kind),
                    quote_bytes(event.data)
                )),
            };
        }
    });
    match taken {
        Ok(false) => fed.map(|()| false).map_err(|e| e.to_string()),
        taken => taken,
    }
}
