//! How SGLang writes answers: every event of a stream has all so far.

use ossmark_protocol::TokenId;
use serde::Serialize;

use crate::answer_delta::{AnswerDelta, FinishReason};
use crate::answer_format::{AnswerFormat, write_json, write_sse};
use crate::model_tokenizer::IncrementalDetokenizer;

/// One answer. What is repeated in every event is kept as JSON.
#[derive(Default)]
pub(super) struct OutputStream {
    pub(super) id: String,
    pub(super) prompt_tokens: usize,
    /// Set in batches.
    pub(super) index: Option<usize>,
    pub(super) trim_stop: bool,
    /// What stands for a reason until there is one: an object instead of null.
    pub(super) finish_object: bool,
    pub(super) decoder: IncrementalDetokenizer,
    /// The text so far, escaped, without its quotes.
    pub(super) text: Vec<u8>,
    /// The ids so far, with commas between them.
    pub(super) ids: Vec<u8>,
}

#[derive(Serialize)]
struct MetaInfo<'a> {
    id: &'a str,
    finish_reason: End<'a>,
    prompt_tokens: usize,
    weight_version: &'static str,
    total_retractions: u32,
    completion_tokens: usize,
    cached_tokens: u32,
    e2e_latency: f64,
}

#[derive(Serialize)]
#[serde(untagged)]
enum End<'a> {
    Reason(MetaFinishReason<'a>),
    /// Not yet: null, as SGLang has it.
    Null,
    /// Not yet: an object, which MLCommons' Endpoints client wants.
    Object {},
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum MetaFinishReason<'a> {
    Stop { matched: Matched<'a> },
    Length { length: usize },
}

#[derive(Serialize)]
#[serde(untagged)]
enum Matched<'a> {
    Token(TokenId),
    Text(&'a str),
}

/// The answers to one request.
pub(super) struct GenerateStream {
    pub(super) answers: Vec<OutputStream>,
    /// Each event has only its own ids, instead of all so far.
    pub(super) incremental: bool,
    pub(super) batch: bool,
}

impl OutputStream {
    fn meta<'a>(&'a self, delta: &'a AnswerDelta) -> MetaInfo<'a> {
        MetaInfo {
            id: &self.id,
            finish_reason: match &delta.finish_reason {
                Some(FinishReason::Stop(token)) => End::Reason(MetaFinishReason::Stop {
                    matched: Matched::Token(*token),
                }),
                Some(FinishReason::StopText(text)) => End::Reason(MetaFinishReason::Stop {
                    matched: Matched::Text(text),
                }),
                Some(FinishReason::Length) => End::Reason(MetaFinishReason::Length {
                    length: delta.total,
                }),
                Some(FinishReason::Failed(_)) | None if self.finish_object => End::Object {},
                Some(FinishReason::Failed(_)) | None => End::Null,
            },
            prompt_tokens: self.prompt_tokens,
            weight_version: "default",
            total_retractions: 0,
            completion_tokens: delta.total,
            cached_tokens: 0,
            e2e_latency: delta.elapsed.as_secs_f64(),
        }
    }

    /// Takes in what is new; `incremental`: the ids are only those of it.
    fn append(&mut self, delta: &AnswerDelta, incremental: bool) {
        if incremental {
            self.ids.clear();
        }
        for token in &delta.tokens {
            if !self.ids.is_empty() {
                self.ids.push(b',');
            }
            write_json(&mut self.ids, token);
        }
        let text = self.decoder.text(delta, self.trim_stop);
        if !text.is_empty() {
            let quoted = self.text.len();
            write_json(&mut self.text, &text);
            self.text.pop();
            self.text.remove(quoted);
        }
    }

    fn write(&self, delta: &AnswerDelta, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"text\":\"");
        out.extend_from_slice(&self.text);
        out.extend_from_slice(b"\",\"output_ids\":[");
        out.extend_from_slice(&self.ids);
        out.extend_from_slice(b"],\"meta_info\":");
        write_json(out, &self.meta(delta));
        if let Some(index) = self.index {
            out.extend_from_slice(b",\"index\":");
            write_json(out, &index);
        }
        out.push(b'}');
    }
}

impl AnswerFormat for GenerateStream {
    fn write_event(&mut self, index: usize, delta: &AnswerDelta, out: &mut Vec<u8>) {
        let answer = &mut self.answers[index];
        answer.append(delta, self.incremental);
        write_sse(out, |out| answer.write(delta, out));
    }

    fn write_response(&mut self, answers: &[AnswerDelta], out: &mut Vec<u8>) {
        if self.batch {
            out.push(b'[');
        }
        for (index, (answer, delta)) in self.answers.iter_mut().zip(answers).enumerate() {
            if index > 0 {
                out.push(b',');
            }
            answer.append(delta, self.incremental);
            answer.write(delta, out);
        }
        if self.batch {
            out.push(b']');
        }
    }
}
