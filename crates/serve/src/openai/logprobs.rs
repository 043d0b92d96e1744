//! Log-probabilities as OpenAI's interfaces write them.

use std::sync::Arc;

use ossmark_protocol::TokenId;
use serde_json::{Map, Value, json};

use crate::logprobs::Logprob;
use crate::model_tokenizer::ModelTokenizer;

/// What tokens are called in answers.
#[derive(Clone)]
pub(super) struct TokenTexts(pub(super) Option<Arc<ModelTokenizer>>);

impl TokenTexts {
    /// A token's text; where that is no text by itself, its bytes, as OpenAI writes them.
    fn name(&self, token: TokenId) -> String {
        match self.bytes(token) {
            None => format!("token_id:{token}"),
            Some(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => text.to_owned(),
                Err(_) => bytes.iter().fold("bytes:".to_owned(), |name, byte| {
                    format!("{name}\\x{byte:02x}")
                }),
            },
        }
    }

    fn bytes(&self, token: TokenId) -> Option<&[u8]> {
        self.0.as_ref()?.bytes(token)
    }

    /// The text of a prompt.
    pub(super) fn text(&self, tokens: &[TokenId], skip_special: bool) -> String {
        let tokenizer = self.0.as_ref();
        tokenizer.map_or_else(String::new, |tokenizer| {
            tokenizer.decode(tokens, skip_special)
        })
    }
}

/// `choices[].logprobs` of `/v1/completions`. `begin` is the first token of an echoed prompt, of which nothing is known;
/// `offset` is where the next token's text begins.
pub(super) fn of_completion(
    texts: &TokenTexts,
    begin: Option<TokenId>,
    tokens: &[&[Logprob]],
    offset: &mut usize,
) -> Value {
    let (mut names, mut own, mut top, mut offsets) = (vec![], vec![], vec![], vec![]);
    let mut add = |token: TokenId, logprob: Value, alternatives: Value| {
        let name = texts.name(token);
        offsets.push(*offset);
        *offset += name.chars().count();
        names.push(name);
        own.push(logprob);
        top.push(alternatives);
    };
    if let Some(token) = begin {
        add(token, Value::Null, Value::Null);
    }
    for logprob in tokens.iter().copied().flatten() {
        let all = logprob.top.iter().rev().copied();
        // The token's own last: of two that have the same text it is the one that stays.
        let all = all.chain([(logprob.token, logprob.logprob)]);
        let all = all.map(|(token, logprob)| (texts.name(token), finite(logprob)));
        let all: Map<String, Value> = all.collect();
        add(logprob.token, finite(logprob.logprob), all.into());
    }
    json!({ "tokens": names, "token_logprobs": own, "top_logprobs": top, "text_offset": offsets })
}

/// `choices[].logprobs` of `/v1/chat/completions`.
pub(super) fn of_chat(texts: &TokenTexts, tokens: &[Logprob]) -> Value {
    let one = |token: TokenId, logprob: f32| {
        let name = texts.name(token);
        json!({ "token": name, "logprob": finite(logprob), "bytes": texts.bytes(token) })
    };
    let content: Vec<Value> = tokens
        .iter()
        .map(|logprob| {
            let top = logprob
                .top
                .iter()
                .map(|(token, logprob)| one(*token, *logprob));
            let top: Vec<Value> = top.collect();
            let mut own = one(logprob.token, logprob.logprob);
            own["top_logprobs"] = top.into();
            own
        })
        .collect();
    json!({ "content": content, "refusal": null })
}

/// JSON has no infinities; OpenAI writes -9999 for what is out of the question.
fn finite(logprob: f32) -> Value {
    match logprob.is_finite() {
        true => logprob.into(),
        false => (-9999.0).into(),
    }
}
