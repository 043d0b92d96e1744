//! OpenAI's `POST /v1/completions`, with vLLM's additions: prompts as token ids, `top_k`, `stop_token_ids`,
//! `skip_special_tokens`, and `return_token_ids`, which puts `token_ids` (in a stream: the new ones) and
//! `prompt_token_ids` (in a stream: once) into each choice.

use std::sync::Arc;

use axum::response::Response;
use ossmark_protocol::TokenId;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::common::{Choice, ResponseEnvelope, StreamOptions, choices, top_logprobs};
use super::logprobs::{self, TokenTexts};
use crate::admission::Admission;
use crate::answer::Prepared;
use crate::answer_delta::AnswerDelta;
use crate::answer_format::AnswerFormat;
use crate::body::parse;
use crate::error::ApiError;
use crate::known_fields::{COMPLETIONS, OPENAI, SAMPLING, refuse_unsupported};
use crate::logprobs::{Collector, WantedLogprobs};
use crate::model_tokenizer::IncrementalDetokenizer;
use crate::new_request::NewRequest;
use crate::options::Options;
use crate::prompts::Prompts;
use crate::state::AppState;

#[derive(Deserialize)]
struct Body {
    prompt: Prompts,
    max_tokens: Option<u32>,
    n: Option<u32>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    return_token_ids: Option<bool>,
    /// So many of the most probable tokens beside each; 0: each alone.
    logprobs: Option<u32>,
    /// The prompt before the answer.
    echo: Option<bool>,
    #[serde(flatten)]
    options: Options,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// OpenAI's default.
const MAX_TOKENS: u32 = 16;

pub(crate) async fn completions(
    state: Arc<AppState>,
    body: Vec<u8>,
    mut admission: Admission,
) -> Result<Response, ApiError> {
    let body: Body = parse(body)?;
    refuse_unsupported(&[(&body.rest, &[OPENAI, COMPLETIONS, SAMPLING])])?;
    let usage = StreamOptions::usage(body.stream_options.as_ref());
    let options = body.options.check(&state.limits)?;
    let n = choices(body.n)?;
    admission
        .permits
        .raise_to(body.prompt.len().saturating_mul(n as usize))?;
    let prompts = state.tokenizer.prompts(body.prompt, Some("prompt")).await?;
    let prompt_tokens: usize = prompts.iter().map(Vec::len).sum();
    let max_new_tokens = body.max_tokens.unwrap_or(MAX_TOKENS);
    let return_token_ids = body.return_token_ids.unwrap_or(false);
    let echo = body.echo.unwrap_or(false);
    let top = body
        .logprobs
        .map(|n| top_logprobs(n, "logprobs"))
        .transpose()?;
    let wanted = top.map(|top| WantedLogprobs { top, prompt: echo });
    let room = match wanted {
        Some(_) => Some(state.logits_room.acquire(prompt_tokens, n).await?),
        None => None,
    };
    let (mut requests, mut choices) = (Vec::new(), Vec::new());
    for prompt in prompts {
        let prompt: Arc<[TokenId]> = prompt.into();
        for choice in 0..n {
            let collector = wanted.zip(room.as_ref()).map(|(wanted, room)| {
                Box::new(Collector::new(
                    wanted,
                    Arc::clone(&prompt),
                    Arc::clone(room),
                ))
            });
            requests.push(NewRequest {
                stop_text: state.tokenizer.stop_detector(&options)?,
                logprobs: collector,
                ..options.request(Arc::clone(&prompt), max_new_tokens, choice)
            });
            choices.push(ChoiceStream {
                decoder: state.tokenizer.decoder(&options),
                prompt: return_token_ids.then(|| Arc::clone(&prompt)),
                echo: echo.then(|| Arc::clone(&prompt)),
                offset: 0,
            });
        }
    }
    let prepared = Prepared {
        admission,
        requests,
        stream: body.stream.unwrap_or(false),
        format: move |state: &AppState, first| CompletionStream {
            envelope: ResponseEnvelope {
                prompt_tokens,
                usage,
                ..ResponseEnvelope::new(state, state.answer_id("cmpl-", first), "text_completion")
            },
            choices,
            return_token_ids,
            logprobs: wanted.is_some(),
            texts: TokenTexts(state.tokenizer.shared()),
            skip_special: options.skip_special,
        },
    };
    prepared.answer(&state).await
}

#[derive(Serialize)]
struct TextChoice {
    text: String,
}

struct CompletionStream {
    envelope: ResponseEnvelope,
    choices: Vec<ChoiceStream>,
    return_token_ids: bool,
    logprobs: bool,
    texts: TokenTexts,
    skip_special: bool,
}

struct ChoiceStream {
    decoder: IncrementalDetokenizer,
    /// Sent with the first event.
    prompt: Option<Arc<[TokenId]>>,
    /// The prompt, whose text comes before the answer's.
    echo: Option<Arc<[TokenId]>>,
    /// Where the next token's text begins.
    offset: usize,
}

impl CompletionStream {
    fn choice<'a>(
        &mut self,
        index: usize,
        delta: &'a AnswerDelta,
        prompt: Option<&'a [TokenId]>,
    ) -> Choice<'a, TextChoice> {
        self.envelope.count(delta);
        let answer = &mut self.choices[index];
        let mut text = String::new();
        let echoed = answer.echo.take();
        if let Some(prompt) = &echoed {
            text += &self.texts.text(prompt, self.skip_special);
        }
        text += &answer.decoder.text(delta, true);
        let logprobs = self.logprobs.then(|| {
            let begin = echoed.and_then(|prompt| prompt.first().copied());
            let tokens = [&delta.prompt_logprobs[..], &delta.logprobs];
            logprobs::of_completion(&self.texts, begin, &tokens, &mut answer.offset)
        });
        let ids = self.return_token_ids.then_some(&delta.tokens[..]);
        let mut choice = Choice::new(
            index,
            TextChoice { text },
            delta.finish_reason.as_ref(),
            ids,
        );
        choice.logprobs = logprobs;
        choice.prompt_token_ids = prompt;
        choice
    }
}

impl AnswerFormat for CompletionStream {
    fn write_event(&mut self, index: usize, delta: &AnswerDelta, out: &mut Vec<u8>) {
        let prompt = self.choices[index].prompt.take();
        let choice = self.choice(index, delta, prompt.as_deref());
        self.envelope.write_event(choice, out);
    }

    fn write_end(&mut self, out: &mut Vec<u8>) {
        self.envelope.write_usage(out);
    }

    fn write_response(&mut self, answers: &[AnswerDelta], out: &mut Vec<u8>) {
        let prompts = self.choices.iter_mut().map(|answer| answer.prompt.take());
        let prompts: Vec<_> = prompts.collect();
        let answers = answers.iter().zip(&prompts).enumerate();
        let choices: Vec<_> = answers
            .map(|(index, (answer, prompt))| self.choice(index, answer, prompt.as_deref()))
            .collect();
        self.envelope.write(&choices, true, out);
    }
}
