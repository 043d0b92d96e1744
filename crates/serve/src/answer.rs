//! The one way from a request that was understood to its response, whatever the interface.

use axum::response::Response;

use crate::admission::Admission;
use crate::answer_format::AnswerFormat;
use crate::error::{ApiError, json_response};
use crate::new_request::NewRequest;
use crate::open_request::OpenRequest;
use crate::sse;
use crate::state::AppState;

/// A request that was understood: what goes to the engine, and how its answers are written.
pub(crate) struct Prepared<F> {
    pub(crate) admission: Admission,
    /// At least one.
    pub(crate) requests: Vec<NewRequest>,
    pub(crate) stream: bool,
    /// Makes the [`AnswerFormat`] once the engine has the requests; the first one's number is given, and the others follow it.
    pub(crate) format: F,
}

impl<F, A> Prepared<F>
where
    F: FnOnce(&AppState, u64) -> A,
    A: AnswerFormat,
{
    /// Hands it to the engine, and writes what comes back.
    pub(crate) async fn answer(self, state: &AppState) -> Result<Response, ApiError> {
        let wanted = self
            .requests
            .first()
            .and_then(|first| first.stream_interval);
        let interval = wanted.unwrap_or(state.settings.stream_interval);
        let interval = self.stream.then_some(interval);
        let open_requests =
            OpenRequest::submit(&state.registry, self.admission, self.requests, interval)?;
        let mut format = (self.format)(state, open_requests[0].id);
        if self.stream {
            return sse::respond(open_requests, format).await;
        }
        let mut answers = Vec::with_capacity(open_requests.len());
        for request in &open_requests {
            answers.push(request.answer().await?);
        }
        let mut out = Vec::with_capacity(1024);
        format.write_response(&answers, &mut out);
        Ok(json_response(out))
    }
}
