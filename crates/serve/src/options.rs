//! The options of generation that the server honours, by whichever interface they come.

use std::sync::Arc;

use ossmark_protocol::{Sampling, TokenId};
use serde::Deserialize;
use serde_json::Number;

use crate::error::ApiError;
use crate::events::Limits;
use crate::new_request::NewRequest;
use crate::stop_text::StopTexts;

/// Each token is compared with all of them.
const MAX_STOP_TOKENS: usize = 256;
/// Each new piece of text is searched for all of them.
const MAX_STOP_TEXTS: usize = 32;
const MAX_STOP_BYTES: usize = 4096;

/// The options that both interfaces name alike.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Options {
    temperature: Option<f32>,
    top_p: Option<f32>,
    top_k: Option<i64>,
    stop_token_ids: Option<Vec<TokenId>>,
    stop: Option<Stop>,
    /// vLLM's name for leaving the stop text in the answer.
    include_stop_str_in_output: Option<bool>,
    /// SGLang's, for stop tokens too.
    no_stop_trim: Option<bool>,
    ignore_eos: Option<bool>,
    /// vLLM's name.
    min_tokens: Option<u32>,
    /// SGLang's name.
    min_new_tokens: Option<u32>,
    skip_special_tokens: Option<bool>,
    /// OpenAI's name.
    seed: Option<Number>,
    /// SGLang's name.
    sampling_seed: Option<Number>,
    /// SGLang's, and of vLLM's sampling parameters.
    stream_interval: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Stop {
    One(String),
    Several(Vec<String>),
}

/// Options as the engine and the decoder want them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ValidatedOptions {
    pub(crate) sampling: Sampling,
    pub(crate) stop: Box<[TokenId]>,
    pub(crate) stop_texts: StopTexts,
    /// The token that stopped an answer is not part of its text.
    pub(crate) trim_stop: bool,
    pub(crate) ignore_eos: bool,
    pub(crate) seed: Option<u64>,
    pub(crate) skip_special: bool,
    /// Nothing, as 0 is, where the server's own is meant.
    stream_interval: Option<usize>,
}

impl Options {
    /// Defaults are OpenAI's and SGLang's: temperature 1, the whole vocabulary.
    pub(crate) fn check(mut self, limits: &Limits) -> Result<ValidatedOptions, ApiError> {
        let top_k = match self.top_k.unwrap_or(-1) {
            // SGLang writes -1 for all tokens, MLPerf's README 0.
            -1 | 0 => 0,
            k if k > 0 => u32::try_from(k).unwrap_or(u32::MAX),
            k => {
                return Err(ApiError::bad_param(
                    "top_k",
                    format!("top_k is {k}, expected -1 or 0 (all tokens) or more"),
                ));
            }
        };
        let sampling = Sampling {
            temperature: self.temperature.unwrap_or(1.0),
            top_p: self.top_p.unwrap_or(1.0),
            top_k,
        };
        sampling
            .check()
            .map_err(|error| ApiError::bad(error.to_string()))?;
        let stop = self.stop_token_ids.take().unwrap_or_default();
        if stop.len() > MAX_STOP_TOKENS {
            let message = format!(
                "{} stop_token_ids, expected at most {MAX_STOP_TOKENS}",
                stop.len()
            );
            return Err(ApiError::bad_param("stop_token_ids", message));
        }
        if let Some(token) = stop.iter().find(|&&token| token >= limits.vocab_size) {
            let message = format!(
                "stop token {token} is outside the vocabulary of {}",
                limits.vocab_size
            );
            return Err(ApiError::bad_param("stop_token_ids", message));
        }
        let stop_texts = self.stop_texts()?;
        let ignore_eos = self.ignore_eos.unwrap_or(false);
        let least = self.min_tokens.or(self.min_new_tokens).unwrap_or(0);
        // An answer has at least one token anyway, and all of them if nothing but its length can end it.
        if least > 1 && !(ignore_eos && stop.is_empty() && stop_texts.is_empty()) {
            let message = format!(
                "min_tokens is {least}: a least length is only supported with ignore_eos and without stops, where answers have \
                 as many tokens as are asked for"
            );
            return Err(ApiError::bad_param("min_tokens", message));
        }
        Ok(ValidatedOptions {
            sampling,
            stop: stop.into(),
            stop_texts,
            trim_stop: !self.no_stop_trim.unwrap_or(false),
            ignore_eos,
            seed: self
                .seed
                .or(self.sampling_seed)
                .map(|seed| seed_bits(&seed))
                .transpose()?,
            skip_special: self.skip_special_tokens.unwrap_or(true),
            stream_interval: self.stream_interval.filter(|n| *n > 0).map(|n| n as usize),
        })
    }

    fn stop_texts(&mut self) -> Result<StopTexts, ApiError> {
        let texts = match self.stop.take() {
            None => Vec::new(),
            Some(Stop::One(text)) => vec![text],
            Some(Stop::Several(texts)) => texts,
        };
        let bytes: usize = texts.iter().map(String::len).sum();
        // Some clients send an empty text for none.
        let texts: Vec<String> = texts.into_iter().filter(|text| !text.is_empty()).collect();
        if texts.len() > MAX_STOP_TEXTS || bytes > MAX_STOP_BYTES {
            let message = format!(
                "stop has {} texts of {bytes} bytes together, expected at most {MAX_STOP_TEXTS} of {MAX_STOP_BYTES}",
                texts.len()
            );
            return Err(ApiError::bad_param("stop", message));
        }
        let keep = self.include_stop_str_in_output.or(self.no_stop_trim);
        Ok(StopTexts::new(texts, keep.unwrap_or(false)))
    }
}

impl ValidatedOptions {
    /// One of several answers to a prompt. With one seed for all, all would be the same.
    pub(crate) fn request(
        &self,
        prompt: Arc<[TokenId]>,
        max_new_tokens: u32,
        choice: u32,
    ) -> NewRequest {
        NewRequest {
            prompt,
            sampling: self.sampling,
            seed: self.seed.map(|seed| seed.wrapping_add(u64::from(choice))),
            max_new_tokens,
            stop: self.stop.clone(),
            stop_text: None,
            logprobs: None,
            ignore_eos: self.ignore_eos,
            stream_interval: self.stream_interval,
        }
    }
}

/// Negative seeds are as good as others.
fn seed_bits(seed: &Number) -> Result<u64, ApiError> {
    let whole = seed
        .as_u64()
        .or_else(|| seed.as_i64().map(i64::cast_unsigned));
    whole.ok_or_else(|| {
        ApiError::bad_param(
            "seed",
            format!("seed is {seed}, expected a whole number of 64 bits"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        vocab_size: 100,
        max_context: 50,
        logits: true,
    };

    fn asked(json: &str) -> Result<ValidatedOptions, String> {
        let options: Options = serde_json::from_str(json).map_err(|error| error.to_string())?;
        options.check(&LIMITS).map_err(|error| error.message)
    }

    #[test]
    fn defaults_are_those_of_the_interfaces() {
        let asked = asked("{}").unwrap();
        let all = Sampling {
            temperature: 1.0,
            top_p: 1.0,
            top_k: 0,
        };
        assert_eq!(
            (asked.sampling, asked.seed, asked.skip_special),
            (all, None, true)
        );
    }

    #[test]
    fn all_tokens_have_many_spellings() {
        for (json, top_k) in [
            ("-1", 0),
            ("0", 0),
            ("1", 1),
            ("1073741824", 1 << 30),
            ("9999999999", u32::MAX),
        ] {
            assert_eq!(
                asked(&format!("{{\"top_k\":{json}}}"))
                    .unwrap()
                    .sampling
                    .top_k,
                top_k
            );
        }
        assert_eq!(asked("{\"seed\":-1}").unwrap().seed, Some(u64::MAX));
        assert_eq!(
            asked("{\"sampling_seed\":18446744073709551615}")
                .unwrap()
                .seed,
            Some(u64::MAX)
        );
    }

    #[test]
    fn a_least_length_is_taken_where_nothing_else_can_end_an_answer() {
        let fine = asked("{\"min_tokens\":20,\"ignore_eos\":true,\"stop\":[]}").unwrap();
        assert!(fine.ignore_eos && fine.stop_texts.is_empty());
        assert!(
            !asked("{\"min_tokens\":1,\"stop\":\"\"}")
                .unwrap()
                .ignore_eos
        );
        let texts = format!("{{\"stop\":[{}]}}", vec!["\"a\""; 33].join(","));
        assert!(asked(&texts).unwrap_err().contains("33 texts"));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (json, part) in [
            ("{\"temperature\":-1}", "temperature is -1"),
            ("{\"temperature\":1e39}", "temperature is inf"),
            ("{\"temperature\":NaN}", "expected"),
            ("{\"top_p\":0}", "top_p is 0"),
            ("{\"top_k\":-2}", "top_k is -2"),
            ("{\"top_k\":1.5}", "invalid type"),
            ("{\"seed\":1.5}", "seed is 1.5"),
            ("{\"stop_token_ids\":[100]}", "stop token 100"),
            ("{\"stop_token_ids\":[-1]}", "invalid value"),
            ("{\"min_tokens\":2}", "min_tokens is 2"),
            (
                "{\"min_new_tokens\":2,\"ignore_eos\":true,\"stop\":\"a\"}",
                "min_tokens is 2",
            ),
        ] {
            let error = asked(json).unwrap_err();
            assert!(error.contains(part), "{json}: {error}");
        }
    }
}
