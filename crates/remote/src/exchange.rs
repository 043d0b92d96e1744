//! One request from being sent to its last token: attempts, time limit, and the reading of the response.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ossmark_protocol::{End, Request};
use tokio::sync::Notify;

use crate::Settings;
use crate::answer::Answer;
use crate::connection::Connection;
use crate::dialect::{take_event, take_response};
use crate::dispatch::Dispatch;
use crate::hold::{Losses, Outage, Verdict};
use crate::http::{cause, post};
use crate::lane::{Idle, Lane};
use crate::outbox::{OpenRequest, Outbox};
use crate::quote::quote_bytes;
use crate::sources::Sources;
use crate::sse::Decoder;
use crate::stats::{add, count};

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
    /// The server, or the way to it, was lost: what it would have answered is not known.
    lost: bool,
}

impl AttemptError {
    fn late(what: String) -> Self {
        Self {
            what,
            retryable: false,
            server_failing: false,
            lost: false,
        }
    }

    fn broke(what: String) -> Self {
        Self {
            lost: true,
            ..Self::late(what)
        }
    }
}

/// What every exchange of a thread needs.
pub(crate) struct Client {
    pub(crate) settings: Arc<Settings>,
    pub(crate) dispatch: Arc<Dispatch>,
    pub(crate) idle: Idle,
    pub(crate) sources: Sources,
    pub(crate) outbox: Outbox,
    /// With a time for servers to come back.
    pub(crate) outage: Option<Arc<Outage>>,
}

/// Sends a request to `lane`, or where retries lead it, and ends it. Returns the lane that it ended on.
pub(crate) async fn exchange(
    client: &Client,
    mut lane: usize,
    request: Request,
    cancel: &Notify,
) -> usize {
    let open = OpenRequest::new(request.id, &client.outbox);
    let mut progress = Progress::new(&request);
    let answered = answered(client, &mut lane, &request, &open, &mut progress);
    let outcome = tokio::select! {
        biased;
        outcome = answered => Some(outcome),
        () = cancel.notified() => None,
    };
    let rest = &progress.answer.tokens()[progress.reported..];
    let url = &client.dispatch.balancer.lane(lane).endpoint;
    match outcome {
        None => open.end(lane, rest, End::Cancelled),
        Some(Ok(end)) => open.end(lane, rest, end),
        Some(Err(what)) => open.end(lane, &[], End::Failed(format!("{url}: {what}"))),
    }
    lane
}

/// Has it answered, again from the beginning while servers are gone and may come back.
async fn answered(
    client: &Client,
    lane: &mut usize,
    request: &Request,
    open: &OpenRequest<'_>,
    progress: &mut Progress,
) -> Result<End, String> {
    let limit = client.settings.timeout;
    let mut losses = Losses::default();
    loop {
        let began = Instant::now();
        let tries = attempts(client, lane, request, open, progress);
        let error = match tokio::time::timeout(limit, tries).await {
            Ok(Ok(end)) => {
                client.outage.as_ref().inspect(|outage| outage.answered());
                return Ok(end);
            }
            Ok(Err(error)) => error,
            Err(_) => {
                let counters = &client.outbox.counters;
                count(&counters.timed_out);
                count(&counters.by_endpoint[*lane].timed_out);
                return Err(format!(
                    "no complete answer within {} s, tokens so far: {}",
                    limit.as_secs_f64(),
                    progress.answer.tokens().len()
                ));
            }
        };
        let Some(outage) = client.outage.as_ref().filter(|_| error.lost) else {
            return Err(error.what);
        };
        let times = (began, Instant::now());
        match outage.lost(&mut losses, times, client.settings.retries, &error.what) {
            Verdict::Wait(pause) => {
                count(&client.outbox.counters.held);
                *progress = Progress::new(request);
                tokio::time::sleep(pause).await;
                *lane = client.dispatch.balancer.move_on(*lane);
            }
            Verdict::GiveUp => return Err(error.what),
            // Everything ends now; this request has not failed by itself.
            Verdict::Over => std::future::pending().await,
        }
    }
}

/// What a request has got so far; outlives the future that a time-out drops.
struct Progress {
    answer: Answer,
    /// Tokens that the sink has seen.
    reported: usize,
}

impl Progress {
    fn new(request: &Request) -> Self {
        Self {
            answer: Answer::new(request.prompt.len(), request.max_new_tokens),
            reported: 0,
        }
    }
}

async fn attempts(
    client: &Client,
    lane: &mut usize,
    request: &Request,
    open: &OpenRequest<'_>,
    progress: &mut Progress,
) -> Result<End, AttemptError> {
    let stream = client.settings.stream;
    let mut tried = 0;
    loop {
        let here = client.dispatch.balancer.lane(*lane);
        let body = here.dialect.body(request, stream);
        let body = body.map_err(AttemptError::late)?.into();
        let error = match attempt(client, *lane, body, tried > 0, open, progress).await {
            Ok(end) => return Ok(end),
            Err(error) => error,
        };
        if error.server_failing {
            here.mark_unhealthy();
        }
        if !error.retryable || tried == client.settings.retries {
            return Err(AttemptError {
                what: match tried {
                    0 => error.what,
                    n => format!("{} (sent {} times)", error.what, n + 1),
                },
                ..error
            });
        }
        if error.server_failing {
            tokio::time::sleep(BACK_OFF * 2u32.saturating_pow(tried)).await;
        }
        tried += 1;
        count(&client.outbox.counters.retries);
        *lane = client.dispatch.balancer.move_on(*lane);
    }
}

async fn attempt(
    client: &Client,
    index: usize,
    body: Bytes,
    fresh: bool,
    open: &OpenRequest<'_>,
    progress: &mut Progress,
) -> Result<End, AttemptError> {
    let lane = client.dispatch.balancer.lane(index);
    let idle = match fresh {
        true => None,
        false => client.idle.take(index).await,
    };
    let mut connection = match idle {
        Some(connection) => connection,
        None => {
            count(&client.outbox.counters.connections);
            Connection::open(&lane.target, client.sources.next())
                .await
                .map_err(|what| AttemptError {
                    retryable: true,
                    server_failing: true,
                    ..AttemptError::broke(what)
                })?
        }
    };
    let before = connection.bytes_read();
    let sent = connection.send(post(&lane.uri, &lane.headers, body)).await;
    let response = sent.map_err(|error| {
        let retryable = connection.bytes_read() == before;
        let when = if retryable { "before" } else { "while" };
        let what = format!(
            "the connection broke {when} the response began: {}",
            cause(&error)
        );
        AttemptError {
            retryable,
            ..AttemptError::broke(what)
        }
    })?;
    let mut body = response.body().await.map_err(|refused| AttemptError {
        server_failing: refused.status.is_server_error() || refused.status.as_u16() == 429,
        // Too busy, or a proxy without a server behind it; other statuses are about this request.
        lost: matches!(refused.status.as_u16(), 429 | 502..=504),
        ..AttemptError::late(refused.what)
    })?;
    if !client.settings.stream {
        let body = match body.at_most(RESPONSE_BYTES).await {
            Ok((body, true)) => body,
            Ok((_, false)) => {
                let what = format!("the response is longer than {RESPONSE_BYTES} bytes");
                return Err(AttemptError::late(what));
            }
            Err(what) => return Err(AttemptError::broke(what)),
        };
        take_response(&*lane.dialect, &body, &mut progress.answer).map_err(AttemptError::late)?;
        let end = progress.answer.finish().map_err(AttemptError::late)?;
        client.idle.put(index, connection);
        return Ok(end);
    }
    if !body.is_event_stream() {
        let what = "asked for a stream, but the response is no text/event-stream";
        return Err(AttemptError::late(what.into()));
    }
    let mut decoder = Decoder::new(EVENT_BYTES);
    loop {
        let bytes = body.next_chunk().await.map_err(AttemptError::broke)?;
        let Some(bytes) = bytes else {
            return Err(AttemptError::broke(format!(
                "the stream ended before [DONE], tokens so far: {}",
                progress.answer.tokens().len()
            )));
        };
        let (taken, events) = take(lane, &mut decoder, &bytes, &mut progress.answer);
        add(&client.outbox.counters.pieces, events);
        if taken.map_err(AttemptError::late)? {
            break;
        }
        if client.outage.is_some() {
            continue;
        }
        let tokens = progress.answer.tokens();
        open.tokens(&tokens[progress.reported..]);
        progress.reported = tokens.len();
    }
    let end = progress.answer.finish().map_err(AttemptError::late)?;
    // The end of the body follows at once, from a server that means to keep the connection.
    let rest = tokio::time::timeout(AFTER_DONE, body.next_chunk()).await;
    if matches!(rest, Ok(Ok(None))) {
        client.idle.put(index, connection);
    }
    Ok(end)
}

/// Takes what the socket brought; whether the stream is done, and how many events there were.
fn take(
    lane: &Lane,
    decoder: &mut Decoder,
    bytes: &[u8],
    answer: &mut Answer,
) -> (Result<bool, String>, u64) {
    let (mut taken, mut events) = (Ok(false), 0);
    let fed = decoder.feed(bytes, |event| {
        events += 1;
        // What follows the end or an error is not looked at.
        if taken == Ok(false) {
            taken = match event.kind {
                b"" | b"message" => take_event(&*lane.dialect, event.data, answer),
                kind => Err(format!(
                    "the stream holds an event of kind {}: {}",
                    quote_bytes(kind),
                    quote_bytes(event.data)
                )),
            };
        }
    });
    let taken = match taken {
        Ok(false) => fed.map(|()| false).map_err(|e| e.to_string()),
        taken => taken,
    };
    (taken, events)
}
