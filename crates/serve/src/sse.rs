//! The body of a streamed answer: server-sent events, made when the connection asks for them. Dropping it, as hyper does
//! when the client is gone, drops its requests and with them cancels what is still open.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use http_body::Frame;

use crate::answer_delta::FinishReason;
use crate::answer_format::{AnswerFormat, write_sse};
use crate::error::ApiError;
use crate::open_request::OpenRequest;

/// The stream broke: the connection is cut, so that no client takes what it has for the whole.
#[derive(Debug, thiserror::Error)]
#[error("the engine failed in the middle of an answer")]
struct BrokenStream;

struct SseBody<F> {
    /// By index; none where the answer has ended.
    open_requests: Vec<Option<OpenRequest>>,
    format: F,
    state: State,
}

#[derive(PartialEq)]
enum State {
    Open,
    Done,
    /// The event that says so is on its way.
    Failed,
    Broken,
}

/// A stream of these answers, once each has begun: what fails before that gets a status of its own.
pub(crate) async fn respond<F: AnswerFormat>(
    open_requests: Vec<OpenRequest>,
    format: F,
) -> Result<Response, ApiError> {
    for request in &open_requests {
        request.first_token().await?;
    }
    let body = SseBody {
        open_requests: open_requests.into_iter().map(Some).collect(),
        format,
        state: State::Open,
    };
    let mut response = Response::new(Body::new(body));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream; charset=utf-8"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}

impl<F: AnswerFormat> http_body::Body for SseBody<F> {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        match this.state {
            State::Open => {}
            State::Done => return Poll::Ready(None),
            State::Failed => {
                // hyper writes out what it has when a body waits, but not when it fails.
                this.state = State::Broken;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            State::Broken => return Poll::Ready(Some(Err(Box::new(BrokenStream)))),
        }
        let mut out = Vec::new();
        for (index, place) in this.open_requests.iter_mut().enumerate() {
            let Some(request) = place else {
                continue;
            };
            let Poll::Ready(delta) = request.poll(cx) else {
                continue;
            };
            if let Some(FinishReason::Failed(message)) = &delta.finish_reason {
                write_sse(&mut out, |out| out.extend(ApiError::engine(message).json()));
                this.state = State::Failed;
                this.open_requests.clear();
                return Poll::Ready(Some(Ok(Frame::data(out.into()))));
            }
            this.format.write_event(index, &delta, &mut out);
            if delta.finish_reason.is_some() {
                *place = None;
            }
        }
        if this.open_requests.iter().all(Option::is_none) {
            this.format.write_end(&mut out);
            write_sse(&mut out, |out| out.extend_from_slice(b"[DONE]"));
            this.state = State::Done;
        }
        match out.is_empty() {
            true => Poll::Pending,
            false => Poll::Ready(Some(Ok(Frame::data(out.into())))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.state == State::Done
    }
}
