//! How servers are spoken to: what a request is in their API, and what its answer says. A file each; which of them a server
//! understands is found out by asking (`probe`).

mod chat;
mod completions;
mod dynamo;
mod sglang;
mod sglang_completions;
mod tensorrt;
mod vllm;
mod vllm_generate;

#[cfg(test)]
mod tests;

use std::fmt::Debug;
use std::sync::Arc;

use ossmark_protocol::Request;

use crate::answer::{Answer, ResponseChunk};
use crate::settings::Api;

/// One way to ask for token ids and to get them. Pure: bytes in, bytes out.
pub(crate) trait Dialect: Debug + Send + Sync {
    /// The API, for people and for the record of a run.
    fn name(&self) -> &'static str;
    /// Where prompts go.
    fn path(&self) -> &'static str;
    /// What it calls the sampling fields.
    fn names(&self) -> SamplingNames;
    /// Whether it asks for several tokens in each piece of a stream.
    fn gathers(&self) -> bool {
        false
    }
    /// The body of a request, in JSON.
    ///
    /// # Errors
    /// When the request wants what cannot be said.
    fn body(&self, request: &Request, stream: bool) -> Result<Vec<u8>, String>;
    /// A whole response.
    ///
    /// # Errors
    /// When it is none of this API, or the server's own words.
    fn read(&self, body: &[u8]) -> Result<ResponseChunk, String>;
    /// The data of one event of a stream.
    ///
    /// # Errors
    /// As [`Dialect::read`].
    fn read_event(&self, data: &[u8]) -> Result<ResponseChunk, String>;
    /// Takes an event's ids: new ones, but for APIs that repeat all so far.
    ///
    /// # Errors
    /// What does not add up.
    fn add(&self, chunk: &ResponseChunk, answer: &mut Answer) -> Result<(), String> {
        answer.add_new(chunk).map(|_| ())
    }
}

pub(crate) use crate::sampling_names::SamplingNames;

/// A response that came whole.
pub(crate) fn take_response(
    dialect: &dyn Dialect,
    body: &[u8],
    answer: &mut Answer,
) -> Result<(), String> {
    answer.add_response(&dialect.read(body)?).map(|_| ())
}

/// The data of one event of a stream; whether it was the last.
pub(crate) fn take_event(
    dialect: &dyn Dialect,
    data: &[u8],
    answer: &mut Answer,
) -> Result<bool, String> {
    if data == b"[DONE]" {
        return Ok(true);
    }
    dialect.add(&dialect.read_event(data)?, answer)?;
    Ok(false)
}

/// What may work for an API that was asked for, in the order in which it is tried. `None`: nothing was asked for, and
/// `sglang` says whether the server calls itself that. `model` is `None` where nobody knows it. `interval` is how many tokens a
/// piece should have; versions that do not know it are asked without. `messages`: what the chat API is asked.
pub(crate) fn candidates(
    api: Option<Api>,
    sglang: bool,
    model: Option<&str>,
    interval: Option<u32>,
    messages: &Arc<[Box<str>]>,
) -> Vec<Box<dyn Dialect>> {
    let intervals = || interval.map(Some).into_iter().chain([None]);
    let mut list: Vec<Box<dyn Dialect>> = Vec::new();
    let group = api.unwrap_or(if sglang { Api::Sglang } else { Api::OpenAi });
    if group == Api::Sglang {
        // Older versions refuse the field sampling_seed.
        for seed in [true, false] {
            let forms = intervals().map(|interval| sglang::Generate { seed, interval });
            list.extend(forms.map(|form| Box::new(form) as _));
        }
    }
    if let Some(model) = model {
        let model = || model.to_owned();
        if group == Api::SglangCompletions || (api.is_none() && sglang) {
            list.push(Box::new(sglang_completions::Completions { model: model() }));
        }
        if matches!(group, Api::OpenAi | Api::Vllm) {
            list.push(Box::new(vllm::Completions { model: model() }));
        }
        if matches!(group, Api::OpenAi | Api::Dynamo) {
            let forms = [true, false].map(|min_p| dynamo::Completions {
                model: model(),
                min_p,
            });
            list.extend(forms.map(|form| Box::new(form) as _));
        }
        if matches!(group, Api::OpenAi | Api::TensorRtLlm) {
            list.push(Box::new(tensorrt::Completions { model: model() }));
        }
        if group == Api::Chat {
            list.push(Box::new(chat::Chat {
                model: model(),
                messages: Arc::clone(messages),
            }));
        }
    }
    if matches!(group, Api::OpenAi | Api::VllmGenerate) {
        let forms = intervals().map(|interval| vllm_generate::Generate { interval });
        list.extend(forms.map(|form| Box::new(form) as _));
    }
    list
}
