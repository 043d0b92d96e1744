//! OpenAI's `POST /v1/completions`, with vLLM's additions: prompts as token ids, `top_k`, `stop_token_ids`,
//! `skip_special_tokens`, and `return_token_ids`, which puts `token_ids` (in a stream: the new ones) and
//! `prompt_token_ids` (in a stream: once) into each choice.

use std::sync::Arc;

use axum::response::Response;
use ossmark_protocol::TokenId;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::api::{self, Usage};
use crate::app::App;
use crate::body::Work;
use crate::clock;
use crate::encoding;
use crate::error::{ApiError, json_response};
use crate::hub::Job;
use crate::prompts::Prompts;
use crate::sampling::{Harmless, Options, SAMPLING, Tolerated, refuse_rest};
use crate::slot::News;
use crate::stream::{self, Format, write_event, write_json};
use crate::text::Decoder;

#[derive(Deserialize)]
struct Body {
    prompt: Prompts,
    #[serde(default)]
    max_tokens: Option<u32>,
    #[serde(default)]
    n: Option<u32>,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    stream_options: Option<StreamOptions>,
    #[serde(default)]
    return_token_ids: Option<bool>,
    #[serde(flatten)]
    options: Options,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// Of both OpenAI interfaces.
#[derive(Deserialize)]
pub(crate) struct StreamOptions {
    #[serde(default)]
    pub(crate) include_usage: Option<bool>,
    /// vLLM: usage so far in every event.
    #[serde(default)]
    continuous_usage_stats: Option<bool>,
}

impl StreamOptions {
    pub(crate) fn usage(options: Option<&Self>) -> Result<bool, ApiError> {
        match options {
            Some(options) if options.continuous_usage_stats == Some(true) => {
                Err(ApiError::bad_param(
                    "stream_options",
                    "continuous_usage_stats is not supported; include_usage is",
                ))
            }
            options => Ok(options.is_some_and(|options| options.include_usage == Some(true))),
        }
    }
}

/// OpenAI's default.
const MAX_TOKENS: u32 = 16;
/// OpenAI's limit.
pub(crate) const MOST_CHOICES: u32 = 128;

/// Of both OpenAI interfaces: they say nothing about the answer.
pub(crate) const TOLERATED: Tolerated = &[
    ("model", Harmless::Always),
    ("user", Harmless::Always),
    ("metadata", Harmless::Always),
    ("store", Harmless::Off),
    ("service_tier", Harmless::Always),
    ("safety_identifier", Harmless::Always),
    ("prompt_cache_key", Harmless::Always),
    ("request_id", Harmless::Always),
    ("priority", Harmless::Always),
    ("logprobs", Harmless::Off),
    ("include_stop_str_in_output", Harmless::Off),
];

const TOLERATED_HERE: Tolerated = &[
    ("best_of", Harmless::Number(1.0)),
    ("echo", Harmless::Off),
    ("suffix", Harmless::Off),
    ("add_special_tokens", Harmless::Always),
];

pub(crate) async fn completions(app: Arc<App>, work: Work) -> Result<Response, ApiError> {
    let (body, mut held): (Body, _) = work.parse()?;
    refuse_rest(&body.rest, &[TOLERATED, TOLERATED_HERE, SAMPLING])?;
    let usage = StreamOptions::usage(body.stream_options.as_ref())?;
    let asked = body.options.check(&app.limits)?;
    let n = choices(body.n)?;
    held.places
        .widen(body.prompt.len().saturating_mul(n as usize))?;
    let prompts = match body.prompt {
        Prompts::Tokens(tokens) => vec![tokens],
        Prompts::TokenLists(lists) => lists,
        Prompts::Text(text) => encoding::texts(&app, vec![text]).await?,
        Prompts::Texts(texts) => encoding::texts(&app, texts).await?,
        Prompts::Nothing => {
            return Err(ApiError::bad_param(
                "prompt",
                "the prompt is empty: give at least one token",
            ));
        }
    };
    let prompts: Vec<Arc<[TokenId]>> = prompts.into_iter().map(Arc::from).collect();
    let prompt_tokens = prompts.iter().map(|prompt| prompt.len()).sum();
    let jobs = prompts
        .iter()
        .flat_map(|prompt| (0..n).map(move |choice| (prompt, choice)))
        .map(|(prompt, choice)| Job {
            prompt: Arc::clone(prompt),
            sampling: asked.sampling,
            // With one seed for all, all choices would be the same.
            seed: asked.seed.map(|seed| seed.wrapping_add(u64::from(choice))),
            max_new_tokens: body.max_tokens.unwrap_or(MAX_TOKENS),
            stop: asked.stop.clone(),
        });
    let jobs: Vec<Job> = jobs.collect();
    let ids = body.return_token_ids.unwrap_or(false);
    let shown_prompts: Vec<Option<Arc<[TokenId]>>> = jobs
        .iter()
        .map(|job| ids.then(|| Arc::clone(&job.prompt)))
        .collect();
    let stream = body.stream.unwrap_or(false);
    let tickets = app
        .hub
        .submit(held, jobs, stream.then_some(app.settings.stream_interval))?;
    let head = Head {
        id: api::id(&app, "cmpl-", tickets[0].id),
        created: clock::now(),
        model: app.settings.model_name.clone(),
    };
    if stream {
        let growing = shown_prompts.into_iter().map(|prompt| Growing {
            decoder: app
                .text
                .as_ref()
                .map(|text| text.decoder(asked.skip_special)),
            prompt,
        });
        let format = Completing {
            head,
            answers: growing.collect(),
            ids,
            usage,
            prompt_tokens,
            completion_tokens: 0,
        };
        return stream::respond(tickets, format).await;
    }
    let mut answers = Vec::with_capacity(tickets.len());
    for ticket in &tickets {
        answers.push(ticket.answer().await?);
    }
    let choices =
        answers
            .iter()
            .zip(&shown_prompts)
            .enumerate()
            .map(|(index, (answer, prompt))| Choice {
                index,
                text: match &app.text {
                    Some(text) => text.decode(
                        api::shown(&answer.tokens, Some(&answer.ended), true),
                        asked.skip_special,
                    ),
                    None => String::new(),
                },
                logprobs: None,
                finish_reason: api::finish_reason(&answer.ended),
                token_ids: ids.then_some(&answer.tokens[..]),
                prompt_token_ids: prompt.as_deref(),
            });
    let completion_tokens = answers.iter().map(|answer| answer.tokens.len()).sum();
    let mut out = Vec::with_capacity(1024);
    let response = head.shape(
        choices.collect(),
        Some(Usage::new(prompt_tokens, completion_tokens)),
    );
    write_json(&mut out, &response);
    Ok(json_response(out))
}

/// How many answers to each prompt.
pub(crate) fn choices(n: Option<u32>) -> Result<u32, ApiError> {
    match n.unwrap_or(1) {
        n @ 1..=MOST_CHOICES => Ok(n),
        n => Err(ApiError::bad_param(
            "n",
            format!("n is {n}, expected 1 to {MOST_CHOICES}"),
        )),
    }
}

/// What every answer and every event begins with.
struct Head {
    id: String,
    created: u64,
    model: String,
}

#[derive(Serialize)]
struct Completion<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: Vec<Choice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
}

#[derive(Serialize)]
struct Choice<'a> {
    index: usize,
    text: String,
    logprobs: Option<()>,
    finish_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_ids: Option<&'a [TokenId]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_token_ids: Option<&'a [TokenId]>,
}

impl Head {
    fn shape<'a>(&'a self, choices: Vec<Choice<'a>>, usage: Option<Usage>) -> Completion<'a> {
        Completion {
            id: &self.id,
            object: "text_completion",
            created: self.created,
            model: &self.model,
            choices,
            usage,
        }
    }
}

struct Completing {
    head: Head,
    answers: Vec<Growing>,
    ids: bool,
    usage: bool,
    prompt_tokens: usize,
    completion_tokens: usize,
}

struct Growing {
    decoder: Option<Decoder>,
    /// Told with the first event.
    prompt: Option<Arc<[TokenId]>>,
}

impl Format for Completing {
    fn event(&mut self, index: usize, news: &News, out: &mut Vec<u8>) {
        let answer = &mut self.answers[index];
        self.completion_tokens += news.tokens.len();
        let mut text = String::new();
        if let Some(decoder) = &mut answer.decoder {
            text = decoder.push(api::shown(&news.tokens, news.ended.as_ref(), true));
            if news.ended.is_some() {
                text += &decoder.end();
            }
        }
        let prompt = answer.prompt.take();
        let choice = Choice {
            index,
            text,
            logprobs: None,
            finish_reason: news.ended.as_ref().and_then(api::finish_reason),
            token_ids: self.ids.then_some(&news.tokens[..]),
            prompt_token_ids: prompt.as_deref(),
        };
        let event = self.head.shape(vec![choice], None);
        write_event(out, |out| write_json(out, &event));
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        if self.usage {
            let usage = Usage::new(self.prompt_tokens, self.completion_tokens);
            let event = self.head.shape(Vec::new(), Some(usage));
            write_event(out, |out| write_json(out, &event));
        }
    }
}
