//! SGLang's `POST /generate`, as `sglang/srt/managers/io_struct.py` and `tokenizer_manager.py` of SGLang 0.5 have it and
//! MLCommons' clients read it: `output_ids` and `text` of a stream's event are all so far, `completion_tokens` counts them.
//!
//! MLCommons' Endpoints client wants `weight_version`, `total_retractions`, `cached_tokens` and `e2e_latency` in every
//! answer: there is one set of weights, tokens are never taken back, and prompts are never cached.

use std::sync::Arc;
use std::time::Instant;

use axum::response::Response;
use ossmark_protocol::TokenId;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::api;
use crate::app::App;
use crate::body::{Held, Work};
use crate::encoding;
use crate::error::{ApiError, json_response};
use crate::hub::{Answer, Job, Ticket};
use crate::prompts::Prompts;
use crate::sampling::{Asked, Harmless, Options, SAMPLING, Tolerated, refuse_rest};
use crate::slot::{Ended, News};
use crate::stream::{self, Format, write_event, write_json};
use crate::text::{Decoder, Text};

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    text: Option<Prompts>,
    #[serde(default)]
    input_ids: Option<Prompts>,
    #[serde(default)]
    sampling_params: Option<Params>,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    rid: Option<String>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Deserialize, Default)]
struct Params {
    #[serde(default)]
    max_new_tokens: Option<u32>,
    #[serde(default)]
    no_stop_trim: Option<bool>,
    #[serde(flatten)]
    options: Options,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// SGLang's default.
const MAX_NEW_TOKENS: u32 = 128;
const LONGEST_RID: usize = 256;

const TOLERATED: Tolerated = &[
    ("return_logprob", Harmless::Off),
    ("logprob_start_len", Harmless::Always),
    ("top_logprobs_num", Harmless::Off),
    ("token_ids_logprob", Harmless::Off),
    ("return_text_in_logprobs", Harmless::Off),
    ("return_hidden_states", Harmless::Off),
    ("image_data", Harmless::Off),
    ("lora_path", Harmless::Off),
    ("log_metrics", Harmless::Always),
    ("priority", Harmless::Always),
    ("model", Harmless::Always),
];

/// What an answer needs of its request.
struct Asker {
    id: String,
    prompt_tokens: usize,
    submitted: Instant,
    /// Set in batches.
    index: Option<usize>,
    show: Show,
}

#[derive(Clone, Copy)]
struct Show {
    skip_special: bool,
    trim_stop: bool,
}

pub(crate) async fn generate(app: Arc<App>, work: Work) -> Result<Response, ApiError> {
    let (body, mut held): (Body, _) = work.parse()?;
    let params = body.sampling_params.unwrap_or_default();
    refuse_rest(&body.rest, &[TOLERATED])?;
    refuse_rest(&params.rest, &[SAMPLING])?;
    let asked = params.options.check(&app.limits)?;
    let show = Show {
        skip_special: asked.skip_special,
        trim_stop: !params.no_stop_trim.unwrap_or(false),
    };
    if body.rid.as_ref().is_some_and(|rid| rid.len() > LONGEST_RID) {
        return Err(bad_rid());
    }
    let (prompts, batch) = prompts(&app, &mut held, body.text, body.input_ids).await?;
    let max_new_tokens = params.max_new_tokens.unwrap_or(MAX_NEW_TOKENS);
    if batch && body.rid.is_some() {
        return Err(bad_rid());
    }
    let lengths: Vec<usize> = prompts.iter().map(Vec::len).collect();
    let jobs = prompts
        .into_iter()
        .map(|prompt| job(prompt, &asked, max_new_tokens))
        .collect();
    let stream = body.stream.unwrap_or(false);
    let tickets = app
        .hub
        .submit(held, jobs, stream.then_some(app.settings.stream_interval))?;
    let askers =
        tickets
            .iter()
            .zip(&lengths)
            .enumerate()
            .map(|(index, (ticket, &prompt_tokens))| Asker {
                id: body
                    .rid
                    .clone()
                    .unwrap_or_else(|| api::id(&app, "", ticket.id)),
                prompt_tokens,
                submitted: ticket.submitted(),
                index: batch.then_some(index),
                show,
            });
    let askers: Vec<Asker> = askers.collect();
    if stream {
        let whole = !app.settings.incremental_output;
        let format = Generating::new(askers, app.text.as_ref(), whole);
        return stream::respond(tickets, format).await;
    }
    let mut out = Vec::with_capacity(1024);
    if batch {
        out.push(b'[');
    }
    for (asker, ticket) in askers.iter().zip(&tickets) {
        if asker.index.is_some_and(|index| index > 0) {
            out.push(b',');
        }
        whole(asker, ticket, app.text.as_ref(), &mut out).await?;
    }
    if batch {
        out.push(b']');
    }
    Ok(json_response(out))
}

/// The prompts as token ids, and whether they came as a batch.
async fn prompts(
    app: &App,
    held: &mut Held,
    text: Option<Prompts>,
    ids: Option<Prompts>,
) -> Result<(Vec<Vec<TokenId>>, bool), ApiError> {
    let n = [&text, &ids].map(|prompts| prompts.as_ref().map_or(0, Prompts::len));
    held.places.widen(n[0].max(n[1]))?;
    match (text, ids) {
        (None, Some(Prompts::Tokens(tokens))) => Ok((vec![tokens], false)),
        (None, Some(Prompts::TokenLists(lists))) => Ok((lists, true)),
        (Some(Prompts::Text(text)), None) => Ok((encoding::texts(app, vec![text]).await?, false)),
        (Some(Prompts::Texts(texts)), None) => Ok((encoding::texts(app, texts).await?, true)),
        (Some(_), Some(_)) => Err(ApiError::bad("both text and input_ids: give one of them")),
        (None, None) => Err(ApiError::bad(
            "no prompt: give input_ids (a list of token ids) or text",
        )),
        (None, Some(Prompts::Nothing)) | (Some(Prompts::Nothing), None) => Err(ApiError::bad(
            "the prompt is empty: give at least one token",
        )),
        (None, Some(_)) => Err(ApiError::bad_param(
            "input_ids",
            "input_ids holds text, expected token ids",
        )),
        (Some(_), None) => Err(ApiError::bad_param(
            "text",
            "text holds token ids, expected text; ids go into input_ids",
        )),
    }
}

fn bad_rid() -> ApiError {
    let message = format!("rid names one request, with at most {LONGEST_RID} bytes");
    ApiError::bad_param("rid", message)
}

fn job(prompt: Vec<TokenId>, asked: &Asked, max_new_tokens: u32) -> Job {
    Job {
        prompt: prompt.into(),
        sampling: asked.sampling,
        seed: asked.seed,
        max_new_tokens,
        stop: asked.stop.clone(),
    }
}

#[derive(Serialize)]
struct Meta<'a> {
    id: &'a str,
    finish_reason: Option<Finish>,
    prompt_tokens: usize,
    weight_version: &'static str,
    total_retractions: u32,
    completion_tokens: usize,
    cached_tokens: u32,
    e2e_latency: f64,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Finish {
    Stop { matched: TokenId },
    Length { length: usize },
}

#[derive(Serialize)]
struct Whole<'a> {
    text: &'a str,
    output_ids: &'a [TokenId],
    meta_info: Meta<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
}

impl Asker {
    fn meta(&self, completion_tokens: usize, ended: Option<&Ended>) -> Meta<'_> {
        Meta {
            id: &self.id,
            finish_reason: match ended {
                Some(Ended::Stop(token)) => Some(Finish::Stop { matched: *token }),
                Some(Ended::Length) => Some(Finish::Length {
                    length: completion_tokens,
                }),
                Some(Ended::Failed(_)) | None => None,
            },
            prompt_tokens: self.prompt_tokens,
            weight_version: "default",
            total_retractions: 0,
            completion_tokens,
            cached_tokens: 0,
            e2e_latency: self.submitted.elapsed().as_secs_f64(),
        }
    }
}

async fn whole(
    asker: &Asker,
    ticket: &Ticket,
    text: Option<&Arc<Text>>,
    out: &mut Vec<u8>,
) -> Result<(), ApiError> {
    let Answer { tokens, ended } = ticket.answer().await?;
    let shown = api::shown(&tokens, Some(&ended), asker.show.trim_stop);
    let decoded = text.map(|text| text.decode(shown, asker.show.skip_special));
    let whole = Whole {
        text: decoded.as_deref().unwrap_or_default(),
        output_ids: &tokens,
        meta_info: asker.meta(tokens.len(), Some(&ended)),
        index: asker.index,
    };
    write_json(out, &whole);
    Ok(())
}

/// The events of a stream. What is repeated in every event is kept as JSON.
struct Generating {
    answers: Vec<Growing>,
    whole: bool,
}

struct Growing {
    asker: Asker,
    decoder: Option<Decoder>,
    /// The text so far, escaped, without its quotes.
    text: Vec<u8>,
    /// The ids so far, with commas between them.
    ids: Vec<u8>,
}

impl Generating {
    fn new(askers: Vec<Asker>, text: Option<&Arc<Text>>, whole: bool) -> Self {
        let grow = |asker: Asker| Growing {
            decoder: text.map(|text| text.decoder(asker.show.skip_special)),
            asker,
            text: Vec::new(),
            ids: Vec::new(),
        };
        Self {
            answers: askers.into_iter().map(grow).collect(),
            whole,
        }
    }
}

impl Format for Generating {
    fn event(&mut self, index: usize, news: &News, out: &mut Vec<u8>) {
        let answer = &mut self.answers[index];
        if !self.whole {
            answer.ids.clear();
        }
        for token in &news.tokens {
            if !answer.ids.is_empty() {
                answer.ids.push(b',');
            }
            write_json(&mut answer.ids, token);
        }
        if let Some(decoder) = &mut answer.decoder {
            let trim = answer.asker.show.trim_stop;
            let mut text = decoder.push(api::shown(&news.tokens, news.ended.as_ref(), trim));
            if news.ended.is_some() {
                text += &decoder.end();
            }
            if !text.is_empty() {
                let quoted = answer.text.len();
                write_json(&mut answer.text, &text);
                answer.text.pop();
                answer.text.remove(quoted);
            }
        }
        write_event(out, |out| {
            out.extend_from_slice(b"{\"text\":\"");
            out.extend_from_slice(&answer.text);
            out.extend_from_slice(b"\",\"output_ids\":[");
            out.extend_from_slice(&answer.ids);
            out.extend_from_slice(b"],\"meta_info\":");
            write_json(out, &answer.asker.meta(news.total, news.ended.as_ref()));
            if let Some(index) = answer.asker.index {
                out.extend_from_slice(b",\"index\":");
                write_json(out, &index);
            }
            out.push(b'}');
        });
    }
}
