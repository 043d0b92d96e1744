//! What both interfaces let a client say about generation: what the engine can do is done, what it cannot do is refused.
//! Nothing that would change the answer is ignored without a word.

use ossmark_protocol::{Sampling, TokenId};
use serde::Deserialize;
use serde_json::{Map, Number, Value};

use crate::error::ApiError;
use crate::events::Limits;

/// Each token is compared with all of them.
const MOST_STOP_TOKENS: usize = 256;

/// The options that both interfaces name alike.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Options {
    temperature: Option<f32>,
    top_p: Option<f32>,
    top_k: Option<i64>,
    stop_token_ids: Option<Vec<TokenId>>,
    skip_special_tokens: Option<bool>,
    /// OpenAI's name.
    seed: Option<Number>,
    /// SGLang's name.
    sampling_seed: Option<Number>,
}

/// Options as the engine and the decoder want them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Asked {
    pub(crate) sampling: Sampling,
    pub(crate) stop: Box<[TokenId]>,
    pub(crate) seed: Option<u64>,
    pub(crate) skip_special: bool,
}

impl Options {
    /// Defaults are OpenAI's and SGLang's: temperature 1, the whole vocabulary.
    pub(crate) fn check(self, limits: &Limits) -> Result<Asked, ApiError> {
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
        let stop = self.stop_token_ids.unwrap_or_default();
        if stop.len() > MOST_STOP_TOKENS {
            let message = format!(
                "{} stop_token_ids, expected at most {MOST_STOP_TOKENS}",
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
        Ok(Asked {
            sampling,
            stop: stop.into(),
            seed: self
                .seed
                .or(self.sampling_seed)
                .map(|seed| whole(&seed))
                .transpose()?,
            skip_special: self.skip_special_tokens.unwrap_or(true),
        })
    }
}

/// Negative seeds are as good as others.
fn whole(seed: &Number) -> Result<u64, ApiError> {
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

/// When a field that is not supported does no harm.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Harmless {
    /// Whatever its value: it does not touch the answer.
    Always,
    /// While it is false, 0 or empty.
    Off,
    /// While it has this value or is 0.
    Number(f64),
}

/// Fields that clients send without wanting anything by them.
pub(crate) type Tolerated = &'static [(&'static str, Harmless)];

/// Of the sampling parameters; both interfaces.
pub(crate) const SAMPLING: Tolerated = &[
    ("frequency_penalty", Harmless::Off),
    ("presence_penalty", Harmless::Off),
    ("repetition_penalty", Harmless::Number(1.0)),
    ("min_p", Harmless::Off),
    // An answer has at least one token anyway.
    ("min_tokens", Harmless::Number(1.0)),
    ("min_new_tokens", Harmless::Number(1.0)),
    ("n", Harmless::Number(1.0)),
    ("ignore_eos", Harmless::Off),
    ("stop", Harmless::Off),
    ("stop_regex", Harmless::Off),
    ("regex", Harmless::Off),
    ("json_schema", Harmless::Off),
    ("ebnf", Harmless::Off),
    ("structural_tag", Harmless::Off),
    ("logit_bias", Harmless::Off),
    ("custom_params", Harmless::Off),
    // Byte-level tokens are joined without spaces either way.
    ("spaces_between_special_tokens", Harmless::Always),
];

/// Refuses the first field that would have changed the answer.
pub(crate) fn refuse_rest(
    rest: &Map<String, Value>,
    tolerated: &[Tolerated],
) -> Result<(), ApiError> {
    for (name, value) in rest {
        let rule = tolerated
            .iter()
            .copied()
            .flatten()
            .find(|(known, _)| known == name);
        let fine = match rule {
            _ if value.is_null() => true,
            None => false,
            Some((_, Harmless::Always)) => true,
            Some((_, Harmless::Off)) => is_off(value),
            Some((_, Harmless::Number(neutral))) => {
                is_off(value) || value.as_f64() == Some(*neutral)
            }
        };
        if !fine {
            let mut value = value.to_string();
            if value.len() > 100 {
                value.truncate(value.floor_char_boundary(100));
                value.push('…');
            }
            let problem = if rule.is_some() {
                "is not supported"
            } else {
                "is not known here"
            };
            return Err(ApiError::bad(format!(
                "{name} ({value}) {problem}, and leaving it out of account would change the answer"
            )));
        }
    }
    Ok(())
}

fn is_off(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(on) => !on,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        vocab_size: 100,
        max_context: 50,
    };

    fn asked(json: &str) -> Result<Asked, String> {
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
        ] {
            let error = asked(json).unwrap_err();
            assert!(error.contains(part), "{json}: {error}");
        }
    }

    #[test]
    fn fields_that_want_something_are_refused() {
        let refused =
            |json: &str| refuse_rest(&serde_json::from_str(json).unwrap(), &[SAMPLING]).is_err();
        for fine in [
            "{\"n\":1}",
            "{\"n\":null}",
            "{\"frequency_penalty\":0.0}",
            "{\"stop\":[]}",
            "{\"ignore_eos\":false}",
            "{\"min_tokens\":1}",
        ] {
            assert!(!refused(fine), "{fine}");
        }
        for wants in [
            "{\"n\":2}",
            "{\"frequency_penalty\":0.1}",
            "{\"stop\":\"a\"}",
            "{\"ignore_eos\":true}",
            "{\"min_tokens\":2}",
            "{\"whatever\":1}",
        ] {
            assert!(refused(wants), "{wants}");
        }
    }
}
