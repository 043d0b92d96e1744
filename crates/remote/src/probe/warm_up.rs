//! One short request, in the mode in which all others will be made.

use std::time::Duration;

use bytes::Bytes;
use ossmark_protocol::{Request, RequestId, Sampling, StopTokens};
use serde_json::{Value, json};

use super::Server;
use super::questions::INFO_BYTES;
use crate::answer::Answer;
use crate::connection::Connection;
use crate::dialect::{Dialect, take_event, take_response};
use crate::http::{cause, post};
use crate::sse::Decoder;

/// The first request after a start may compile kernels.
const WARM_UP: Duration = Duration::from_secs(600);

fn request() -> Request {
    Request {
        id: RequestId(u64::MAX),
        prompt: [0].into(),
        sampling: Sampling::GREEDY,
        seed: 0,
        max_new_tokens: 2,
        want_logits: false,
        stop_tokens: StopTokens::default(),
        ignore_eos: false,
    }
}

impl Server<'_> {
    /// Asks for two tokens. The outer error: no answer in time; the inner: an answer that will not do.
    pub(super) async fn warm_up(
        &self,
        dialect: &dyn Dialect,
    ) -> Result<Result<(), String>, String> {
        let stream = self.settings.stream;
        let request = request();
        let exchange = async {
            let body = dialect.body(&request, stream)?.into();
            let body = self.post(dialect.path(), body).await?;
            let mut answer = Answer::new(request.prompt.len(), request.max_new_tokens);
            if stream {
                let mut taken = Ok(false);
                let fed = Decoder::new(INFO_BYTES).feed(&body, |event| {
                    if taken == Ok(false) {
                        taken = take_event(dialect, event.data, &mut answer);
                    }
                });
                fed.map_err(|e| e.to_string())?;
                if !taken? {
                    return Err("the stream ended before [DONE]".into());
                }
            } else {
                take_response(dialect, &body, &mut answer)?;
            }
            answer.finish().map(|_| ())
        };
        let limit = self.settings.timeout.min(WARM_UP);
        let late = |_| format!("no answer within {} s", limit.as_secs_f64());
        tokio::time::timeout(limit, exchange).await.map_err(late)
    }

    /// Whether a prompt as text is answered, without a look at ids.
    pub(super) async fn answers_text(&self, model: &str) -> bool {
        let body = json!({ "model": model, "prompt": "1", "max_tokens": 2, "temperature": 0 });
        let exchange = self.post("/v1/completions", body.to_string().into());
        let limit = self.settings.timeout.min(WARM_UP);
        let Ok(Ok(body)) = tokio::time::timeout(limit, exchange).await else {
            return false;
        };
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        answer["choices"][0]["text"].is_string()
    }

    async fn post(&self, path: &str, body: Bytes) -> Result<Vec<u8>, String> {
        let uri = self.uri(path).map_err(|e| e.to_string())?;
        let mut connection = Connection::open(&self.target, self.source()).await?;
        let sent = connection.send(post(&uri, &self.headers, body)).await;
        let response = sent.map_err(|e| cause(&e))?;
        let mut body = response.body().await.map_err(|refused| refused.what)?;
        body.whole(INFO_BYTES).await
    }
}
