//! How a response is written: whole, or as the events by which a client follows its making.

use serde_json::{Value, json};

use crate::answer_delta::{AnswerDelta, FinishReason};
use crate::answer_format::AnswerFormat;
use crate::openai::chat::{ChoiceStream, Kind};

/// What a response says of its request.
pub(super) struct Written {
    pub(super) id: String,
    pub(super) model: String,
    pub(super) created_at: u64,
    pub(super) temperature: f32,
    pub(super) top_p: f32,
    pub(super) max_output_tokens: Option<u32>,
    pub(super) effort: &'static str,
    pub(super) input_tokens: usize,
}

/// An output item: thoughts or the message, by turns where a model goes back to thinking.
struct Item {
    is_content: bool,
    text: String,
    tokens: usize,
}

pub(super) struct ResponseStream {
    answer: ChoiceStream,
    written: Written,
    items: Vec<Item>,
    events: u64,
    output_tokens: usize,
}

impl Item {
    /// What the item, its part and its events are called.
    fn names(&self) -> (&'static str, &'static str, &'static str) {
        match self.is_content {
            true => ("msg", "message", "output_text"),
            false => ("rs", "reasoning", "reasoning_text"),
        }
    }

    fn part(&self, text: &str) -> Value {
        match self.is_content {
            true => {
                json!({ "type": "output_text", "text": text, "annotations": [], "logprobs": [] })
            }
            false => json!({ "type": "reasoning_text", "text": text }),
        }
    }

    fn write(&self, id: &str, status: &str, parts: &[Value]) -> Value {
        match self.is_content {
            true => {
                json!({ "type": "message", "id": id, "role": "assistant", "status": status, "content": parts })
            }
            false => {
                json!({ "type": "reasoning", "id": id, "summary": [], "status": status, "content": parts })
            }
        }
    }
}

impl ResponseStream {
    pub(super) fn new(answer: ChoiceStream, written: Written) -> Self {
        Self {
            answer,
            written,
            items: Vec::new(),
            events: 0,
            output_tokens: 0,
        }
    }

    fn item_id(&self, at: usize) -> String {
        format!("{}_{}_{at}", self.items[at].names().0, self.written.id)
    }

    /// Takes what is new: each item's text, and whether the item is new too.
    fn take(&mut self, delta: &AnswerDelta) -> Vec<(usize, bool, String)> {
        self.output_tokens += delta.tokens.len();
        let ended = delta.finish_reason.is_some();
        let mut new = Vec::new();
        // Token by token, to count those of each item.
        let mut take = |tokens: &[_], ended| {
            for (kind, text) in self.answer.split(tokens, ended) {
                let is_content = kind == Kind::Content;
                let known = self
                    .items
                    .last()
                    .is_some_and(|item| item.is_content == is_content);
                if !known {
                    let (text, tokens) = (String::new(), 0);
                    self.items.push(Item {
                        is_content,
                        text,
                        tokens,
                    });
                }
                let at = self.items.len() - 1;
                self.items[at].text += &text;
                new.push((at, !known, text));
            }
            if let Some(item) = self.items.last_mut() {
                item.tokens += tokens.len();
            }
        };
        for token in &delta.tokens {
            take(std::slice::from_ref(token), false);
        }
        if ended {
            take(&[], true);
        }
        new
    }

    fn status(reason: Option<&FinishReason>) -> &'static str {
        match reason {
            None => "in_progress",
            Some(FinishReason::Length) => "incomplete",
            Some(_) => "completed",
        }
    }

    /// The response as it is now; with its end, what it took.
    fn response(&self, reason: Option<&FinishReason>) -> Value {
        let written = &self.written;
        let items = self.items.iter().enumerate().map(|(at, item)| {
            let whole = at + 1 < self.items.len();
            let status = if whole {
                "completed"
            } else {
                Self::status(reason)
            };
            item.write(&self.item_id(at), status, &[item.part(&item.text)])
        });
        let items: Vec<Value> = items.collect();
        let thoughts = self.items.iter().filter(|item| !item.is_content);
        let incomplete = matches!(reason, Some(FinishReason::Length));
        let usage = reason.map(|_| {
            json!({
                "input_tokens": written.input_tokens,
                "input_tokens_details": { "cached_tokens": 0 },
                "output_tokens": self.output_tokens,
                "output_tokens_details": { "reasoning_tokens": thoughts.map(|item| item.tokens).sum::<usize>() },
                "total_tokens": written.input_tokens + self.output_tokens,
            })
        });
        json!({
            "id": format!("resp_{}", written.id),
            "object": "response",
            "created_at": written.created_at,
            "status": Self::status(reason),
            "error": null,
            "incomplete_details": incomplete.then(|| json!({ "reason": "max_output_tokens" })),
            "instructions": null,
            "max_output_tokens": written.max_output_tokens,
            "model": written.model,
            "output": items,
            "parallel_tool_calls": false,
            "previous_response_id": null,
            "reasoning": { "effort": written.effort, "summary": null },
            "store": false,
            "temperature": written.temperature,
            "text": { "format": { "type": "text" } },
            "tool_choice": "auto",
            "tools": [],
            "top_p": written.top_p,
            "truncation": "disabled",
            "usage": usage,
            "metadata": {},
        })
    }

    fn event(&mut self, kind: &str, fields: Value, out: &mut Vec<u8>) {
        let mut event = fields;
        event["type"] = kind.into();
        event["sequence_number"] = self.events.into();
        self.events += 1;
        out.extend_from_slice(format!("event: {kind}\ndata: {event}\n\n").as_bytes());
    }

    fn begin_item(&mut self, at: usize, out: &mut Vec<u8>) {
        let (id, item) = (self.item_id(at), &self.items[at]);
        let added = json!({ "output_index": at, "item": item.write(&id, "in_progress", &[]) });
        let part =
            json!({ "item_id": id, "output_index": at, "content_index": 0, "part": item.part("") });
        self.event("response.output_item.added", added, out);
        self.event("response.content_part.added", part, out);
    }

    fn end_item(&mut self, at: usize, status: &str, out: &mut Vec<u8>) {
        let (id, item) = (self.item_id(at), &self.items[at]);
        let kind = format!("response.{}.done", item.names().2);
        let part = item.part(&item.text);
        let place = json!({ "item_id": id, "output_index": at, "content_index": 0 });
        let (mut text, mut ended) = (place.clone(), place);
        text["text"] = item.text.clone().into();
        if item.is_content {
            text["logprobs"] = json!([]);
        }
        ended["part"] = part.clone();
        let done = json!({ "output_index": at, "item": item.write(&id, status, &[part]) });
        self.event(&kind, text, out);
        self.event("response.content_part.done", ended, out);
        self.event("response.output_item.done", done, out);
    }
}

impl AnswerFormat for ResponseStream {
    fn write_event(&mut self, _: usize, delta: &AnswerDelta, out: &mut Vec<u8>) {
        if self.events == 0 {
            for kind in ["response.created", "response.in_progress"] {
                let response = json!({ "response": self.response(None) });
                self.event(kind, response, out);
            }
        }
        for (at, new, text) in self.take(delta) {
            if new && at > 0 {
                self.end_item(at - 1, "completed", out);
            }
            if new {
                self.begin_item(at, out);
            }
            let kind = format!("response.{}.delta", self.items[at].names().2);
            let mut fields = json!({ "item_id": self.item_id(at), "output_index": at, "content_index": 0, "delta": text });
            if self.items[at].is_content {
                fields["logprobs"] = json!([]);
            }
            self.event(&kind, fields, out);
        }
        if let Some(reason) = &delta.finish_reason {
            let status = Self::status(Some(reason));
            if let Some(last) = self.items.len().checked_sub(1) {
                self.end_item(last, status, out);
            }
            let response = json!({ "response": self.response(Some(reason)) });
            self.event(&format!("response.{status}"), response, out);
        }
    }

    fn write_response(&mut self, answers: &[AnswerDelta], out: &mut Vec<u8>) {
        for answer in answers {
            self.take(answer);
            let response = self.response(answer.finish_reason.as_ref());
            out.extend_from_slice(response.to_string().as_bytes());
        }
    }
}
