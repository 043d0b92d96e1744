//! OpenAI's `POST /v1/chat/completions`: a conversation becomes a Harmony prompt, and what the model says is told by channel:
//! analysis as `reasoning_content` (the name of SGLang and DeepSeek; vLLM's is `reasoning`, and MLCommons' Endpoints client
//! refuses answers that have both), final as `content`. Texts of a conversation never become control tokens.

use std::sync::Arc;

use axum::response::Response;
use ossmark_harmony::{Channel, Effort, Parser, System, Turn};
use ossmark_protocol::TokenId;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::api::{self, Usage};
use crate::app::App;
use crate::body::Work;
use crate::clock;
use crate::completions::{StreamOptions, TOLERATED, choices};
use crate::encoding;
use crate::error::{ApiError, json_response};
use crate::hub::Job;
use crate::sampling::{Harmless, Options, SAMPLING, Tolerated, refuse_rest};
use crate::slot::{Ended, News};
use crate::stream::{self, Format, write_event, write_json};

#[derive(Deserialize)]
struct Body {
    messages: Vec<Message>,
    #[serde(default)]
    reasoning_effort: Option<String>,
    #[serde(default)]
    chat_template_kwargs: Option<TemplateOptions>,
    /// The older name.
    #[serde(default)]
    max_tokens: Option<u32>,
    #[serde(default)]
    max_completion_tokens: Option<u32>,
    #[serde(default)]
    n: Option<u32>,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    stream_options: Option<StreamOptions>,
    #[serde(default)]
    return_token_ids: Option<bool>,
    #[serde(default)]
    response_format: Option<ResponseFormat>,
    #[serde(default)]
    tool_choice: Option<Value>,
    #[serde(flatten)]
    options: Options,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// How clients of SGLang and vLLM say it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TemplateOptions {
    #[serde(default)]
    reasoning_effort: Option<String>,
}

#[derive(Deserialize)]
struct ResponseFormat {
    r#type: String,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    #[serde(default)]
    content: Option<Content>,
    #[serde(default)]
    tool_calls: Option<Vec<Value>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
struct Part {
    r#type: String,
    #[serde(default)]
    text: Option<String>,
}

const TOLERATED_HERE: Tolerated = &[
    ("tools", Harmless::Off),
    ("functions", Harmless::Off),
    ("parallel_tool_calls", Harmless::Always),
    ("top_logprobs", Harmless::Off),
    ("verbosity", Harmless::Always),
    ("chat_template", Harmless::Off),
];

pub(crate) async fn chat(app: Arc<App>, work: Work) -> Result<Response, ApiError> {
    let (body, mut held): (Body, _) = work.parse()?;
    refuse_rest(&body.rest, &[TOLERATED, TOLERATED_HERE, SAMPLING])?;
    let usage = StreamOptions::usage(body.stream_options.as_ref())?;
    let asked = body.options.check(&app.limits)?;
    let n = choices(body.n)?;
    held.places.widen(n as usize)?;
    if let Some(format) = body
        .response_format
        .filter(|format| format.r#type != "text")
    {
        let message = format!(
            "response_format {} is not supported; text is",
            format.r#type
        );
        return Err(ApiError::bad_param("response_format", message));
    }
    if let Some(choice) = body
        .tool_choice
        .filter(|choice| !matches!(choice.as_str(), Some("none" | "auto")))
    {
        return Err(ApiError::bad_param(
            "tool_choice",
            format!("tool_choice {choice}: tools are not supported"),
        ));
    }
    let in_template = body
        .chat_template_kwargs
        .and_then(|options| options.reasoning_effort);
    let effort = effort(body.reasoning_effort.or(in_template))?;
    let date = app.settings.chat_date.clone();
    let date = date.unwrap_or_else(|| clock::day(clock::now()));
    let turns = turns(&date, effort, body.messages)?;
    let Some(text) = &app.text else {
        return Err(ApiError::bad(
            "this server has no tokenizer: use /v1/completions or /generate with token ids",
        ));
    };
    let prompt: Arc<[TokenId]> = encoding::conversation(&app, turns).await?.into();
    let asked_tokens = body.max_completion_tokens.or(body.max_tokens);
    let max_new_tokens = match asked_tokens {
        Some(n) => n,
        None => app.hub.most_new_tokens(&prompt, app.limits.max_context)?,
    };
    let prompt_tokens = prompt.len();
    let jobs = (0..n).map(|choice| Job {
        prompt: Arc::clone(&prompt),
        sampling: asked.sampling,
        seed: asked.seed.map(|seed| seed.wrapping_add(u64::from(choice))),
        max_new_tokens,
        stop: asked.stop.clone(),
    });
    let jobs = jobs.collect();
    let ids = body.return_token_ids.unwrap_or(false);
    let shown_prompt = ids.then_some(prompt);
    let stream = body.stream.unwrap_or(false);
    let tickets = app
        .hub
        .submit(held, jobs, stream.then_some(app.settings.stream_interval))?;
    let head = Head {
        id: api::id(&app, "chatcmpl-", tickets[0].id),
        created: clock::now(),
        model: app.settings.model_name.clone(),
    };
    if stream {
        let mut parsers = Vec::with_capacity(tickets.len());
        for _ in &tickets {
            parsers.push((text.parser()?, false));
        }
        let format = Chatting {
            head,
            parsers,
            prompt: shown_prompt,
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
    let mut choices = Vec::with_capacity(answers.len());
    for (index, answer) in answers.iter().enumerate() {
        let (mut reasoning, mut content) = (String::new(), String::new());
        let mut parser = text.parser()?;
        for (is_content, text) in said(&mut parser, &answer.tokens, true) {
            if is_content {
                &mut content
            } else {
                &mut reasoning
            }
            .push_str(&text);
        }
        choices.push(Choice {
            index,
            message: Said {
                role: "assistant",
                content: (!content.is_empty()).then_some(content),
                reasoning_content: (!reasoning.is_empty()).then_some(reasoning),
            },
            logprobs: None,
            finish_reason: api::finish_reason(&answer.ended),
            token_ids: ids.then_some(&answer.tokens[..]),
        });
    }
    let completion_tokens = answers.iter().map(|answer| answer.tokens.len()).sum();
    let whole = Completion {
        id: &head.id,
        object: "chat.completion",
        created: head.created,
        model: &head.model,
        choices,
        usage: Some(Usage::new(prompt_tokens, completion_tokens)),
        prompt_token_ids: shown_prompt.as_deref(),
    };
    let mut out = Vec::with_capacity(1024);
    write_json(&mut out, &whole);
    Ok(json_response(out))
}

fn effort(asked: Option<String>) -> Result<Effort, ApiError> {
    let Some(asked) = asked else {
        return Ok(Effort::Medium);
    };
    asked
        .parse()
        .map_err(|error: String| ApiError::bad_param("reasoning_effort", error))
}

fn turns(date: &str, effort: Effort, messages: Vec<Message>) -> Result<Vec<Turn>, ApiError> {
    let bad = |message: String| ApiError::bad_param("messages", message);
    if messages.is_empty() {
        return Err(bad("no messages: give at least one".into()));
    }
    let mut turns = vec![Turn::System(System::gpt_oss(date, effort))];
    for (n, message) in messages.into_iter().enumerate() {
        if message.tool_calls.is_some_and(|calls| !calls.is_empty()) {
            return Err(bad(format!(
                "message {n} calls tools, which are not supported"
            )));
        }
        let mut text = String::new();
        match message.content {
            Some(Content::Text(content)) => text = content,
            Some(Content::Parts(parts)) => {
                for part in parts {
                    match part {
                        Part {
                            r#type,
                            text: Some(part),
                        } if r#type == "text" => text.push_str(&part),
                        Part { r#type, .. } => {
                            return Err(bad(format!(
                                "message {n} has a part of type {type}, expected text",
                                r#type = r#type
                            )));
                        }
                    }
                }
            }
            None => return Err(bad(format!("message {n} has no content"))),
        }
        turns.push(match message.role.as_str() {
            // What gpt-oss calls the system message says what the model is; instructions are the developer's.
            "system" | "developer" => Turn::Developer(text),
            "user" => Turn::User(text),
            "assistant" => Turn::Assistant(text),
            role => {
                let message = format!(
                    "message {n} is by {role}, expected system, developer, user or assistant"
                );
                return Err(bad(message));
            }
        });
    }
    Ok(turns)
}

/// Texts in their order, each with whether it is for the reader; the others are thoughts.
fn said(parser: &mut Parser, tokens: &[TokenId], ended: bool) -> Vec<(bool, String)> {
    let mut said: Vec<(bool, String)> = Vec::new();
    let mut add = |parser: &Parser, channel: Channel, text: String| {
        // A preamble is commentary for the reader; a tool call is for a tool that nobody offered.
        let for_reader = match channel {
            Channel::Final => true,
            Channel::Commentary => parser.header().recipient.is_none(),
            Channel::Analysis | Channel::Other => false,
        };
        match said.last_mut() {
            Some((last, all)) if *last == for_reader => all.push_str(&text),
            _ => said.push((for_reader, text)),
        }
    };
    for &token in tokens {
        if let Some(delta) = parser.push(token) {
            add(parser, delta.channel, delta.text);
        }
    }
    if ended && let Some(delta) = parser.finish() {
        add(parser, delta.channel, delta.text);
    }
    said
}

struct Head {
    id: String,
    created: u64,
    model: String,
}

#[derive(Serialize)]
struct Completion<'a, C> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: Vec<C>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_token_ids: Option<&'a [TokenId]>,
}

#[derive(Serialize)]
struct Choice<'a> {
    index: usize,
    message: Said,
    logprobs: Option<()>,
    finish_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_ids: Option<&'a [TokenId]>,
}

#[derive(Serialize)]
struct Said {
    role: &'static str,
    content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
}

#[derive(Serialize)]
struct Piece<'a> {
    index: usize,
    delta: Delta,
    logprobs: Option<()>,
    finish_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_ids: Option<&'a [TokenId]>,
}

#[derive(Serialize, Default)]
struct Delta {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
}

struct Chatting {
    head: Head,
    /// Each with whether its role was told.
    parsers: Vec<(Parser, bool)>,
    /// Told with the first event.
    prompt: Option<Arc<[TokenId]>>,
    ids: bool,
    usage: bool,
    prompt_tokens: usize,
    completion_tokens: usize,
}

impl Chatting {
    fn write(
        &self,
        out: &mut Vec<u8>,
        choices: Vec<Piece<'_>>,
        usage: Option<Usage>,
        prompt: Option<&[TokenId]>,
    ) {
        let event = Completion {
            id: &self.head.id,
            object: "chat.completion.chunk",
            created: self.head.created,
            model: &self.head.model,
            choices,
            usage,
            prompt_token_ids: prompt,
        };
        write_event(out, |out| write_json(out, &event));
    }
}

impl Format for Chatting {
    fn event(&mut self, index: usize, news: &News, out: &mut Vec<u8>) {
        self.completion_tokens += news.tokens.len();
        let piece = |delta: Delta, ended: Option<&Ended>, token_ids| Piece {
            index,
            delta,
            logprobs: None,
            finish_reason: ended.and_then(api::finish_reason),
            token_ids,
        };
        let (parser, told) = &mut self.parsers[index];
        let deltas = said(parser, &news.tokens, news.ended.is_some());
        if !std::mem::replace(told, true) {
            let prompt = self.prompt.take();
            let delta = Delta {
                role: Some("assistant"),
                content: Some(String::new()),
                ..Delta::default()
            };
            self.write(out, vec![piece(delta, None, None)], None, prompt.as_deref());
        }
        let mut ids = self.ids.then_some(&news.tokens[..]);
        for (for_reader, text) in deltas {
            let (content, reasoning_content) = match for_reader {
                true => (Some(text), None),
                false => (None, Some(text)),
            };
            let delta = Delta {
                role: None,
                content,
                reasoning_content,
            };
            self.write(out, vec![piece(delta, None, ids.take())], None, None);
        }
        if news.ended.is_some() || ids.is_some() {
            let last = piece(Delta::default(), news.ended.as_ref(), ids.take());
            self.write(out, vec![last], None, None);
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        if self.usage {
            let usage = Usage::new(self.prompt_tokens, self.completion_tokens);
            self.write(out, Vec::new(), Some(usage), None);
        }
    }
}
