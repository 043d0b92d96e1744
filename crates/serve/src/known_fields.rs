//! Fields of requests that the server knows and does nothing about, who sends them, and the values by which nothing is wanted.
//! Anything else is refused, all of it at once, so that nothing that would change the answer is ignored without a word.

use serde_json::{Map, Value};

use crate::error::ApiError;

/// When a field that is not supported may be ignored. Null always may.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Neutral {
    /// Whatever its value: it does not touch the answer.
    Any,
    /// While it is false, 0 or empty.
    Off,
    /// While it has this value or is off.
    Number(f64),
    /// While it is true.
    True,
    /// Only null.
    Null,
}

/// A field, its neutral values, who sends it.
pub(crate) type Field = (&'static str, Neutral, &'static str);

use Neutral::{Any, Null, Number, Off, True};

/// Of the sampling parameters; both interfaces.
pub(crate) const SAMPLING: &[Field] = &[
    ("frequency_penalty", Off, "everybody"),
    ("presence_penalty", Off, "everybody"),
    ("repetition_penalty", Number(1.0), "vllm bench, ossmark"),
    ("length_penalty", Number(1.0), "vLLM's clients"),
    ("min_p", Off, "SGLang, vLLM, ossmark"),
    ("n", Number(1.0), "everybody"),
    ("best_of", Number(1.0), "OpenAI's older clients"),
    ("stop_regex", Off, "SGLang"),
    ("regex", Off, "SGLang"),
    ("json_schema", Off, "SGLang"),
    ("ebnf", Off, "SGLang"),
    ("structural_tag", Off, "SGLang"),
    ("guided_json", Off, "vLLM's older clients, Dynamo"),
    ("guided_regex", Off, "vLLM's older clients, Dynamo"),
    ("guided_choice", Off, "vLLM's older clients, Dynamo"),
    ("guided_grammar", Off, "vLLM's older clients, Dynamo"),
    ("structured_outputs", Off, "vLLM"),
    ("logit_bias", Off, "OpenAI"),
    ("logits_processors", Off, "vLLM"),
    ("bad_words", Off, "vLLM"),
    ("allowed_token_ids", Off, "vLLM"),
    ("use_beam_search", Off, "vLLM"),
    ("early_stopping", Off, "vLLM's older clients"),
    ("truncate_prompt_tokens", Null, "vLLM"),
    ("prompt_logprobs", Null, "vLLM"),
    ("custom_params", Off, "SGLang"),
    ("custom_logit_processor", Off, "SGLang"),
    // Byte-level tokens are joined without spaces either way.
    ("spaces_between_special_tokens", Any, "vLLM, SGLang"),
];

/// Of SGLang's `/generate`, beside its sampling parameters.
pub(crate) const GENERATE: &[Field] = &[
    ("return_logprob", Off, "SGLang's clients, SMG"),
    ("logprob_start_len", Any, "SGLang's clients, SMG"),
    ("top_logprobs_num", Off, "SGLang's clients, SMG"),
    ("token_ids_logprob", Off, "SGLang's clients"),
    ("return_text_in_logprobs", Any, "SMG"),
    ("return_hidden_states", Off, "SMG"),
    ("return_routed_experts", Off, "SMG"),
    ("return_bytes", Off, "SMG"),
    ("return_entropy", Off, "SMG"),
    ("image_data", Off, "SGLang's clients"),
    ("audio_data", Off, "SGLang's clients"),
    ("video_data", Off, "SGLang's clients"),
    ("modalities", Any, "SGLang's clients"),
    ("lora_path", Off, "SGLang's clients"),
    ("lora_id", Off, "SMG"),
    ("session_params", Off, "SMG"),
    ("input_embeds", Off, "SGLang's clients"),
    ("background", Off, "SMG"),
    ("conversation_id", Any, "SGLang's clients"),
    ("log_metrics", Any, "SMG"),
    ("no_logs", Any, "SMG"),
    ("priority", Any, "SGLang's clients"),
    ("extra_key", Any, "SGLang's clients"),
    ("data_parallel_rank", Any, "SMG"),
    ("bootstrap_host", Null, "SMG"),
    ("bootstrap_port", Null, "SMG"),
    ("bootstrap_room", Null, "SMG"),
    ("validation_time", Any, "SGLang"),
    ("model", Any, "SMG"),
];

/// Of OpenAI's interfaces.
pub(crate) const OPENAI: &[Field] = &[
    ("model", Any, "everybody"),
    ("user", Any, "OpenAI"),
    ("metadata", Any, "OpenAI"),
    ("store", Off, "OpenAI"),
    ("service_tier", Any, "OpenAI"),
    ("safety_identifier", Any, "OpenAI"),
    ("prompt_cache_key", Any, "OpenAI"),
    ("prompt_cache_retention", Any, "OpenAI"),
    ("cache_salt", Any, "vLLM's clients"),
    ("request_id", Any, "vLLM's clients"),
    ("rid", Any, "SGLang's clients"),
    ("priority", Any, "vLLM's clients"),
    ("lora_path", Off, "SGLang's clients"),
    ("return_hidden_states", Off, "SGLang's clients"),
    ("return_tokens_as_token_ids", Off, "vLLM's clients"),
    ("kv_transfer_params", Off, "vLLM"),
    ("vllm_xargs", Off, "vLLM"),
    ("data_parallel_rank", Any, "SMG"),
];

/// Of `/v1/completions` alone.
pub(crate) const COMPLETIONS: &[Field] = &[
    ("suffix", Off, "OpenAI"),
    ("prompt_embeds", Off, "vLLM's clients"),
    ("response_format", Null, "OpenAI"),
    ("add_special_tokens", Any, "vLLM's clients"),
];

/// Of `/v1/chat/completions` alone.
pub(crate) const CHAT: &[Field] = &[
    ("functions", Off, "OpenAI's older clients"),
    ("function_call", Null, "OpenAI's older clients"),
    ("parallel_tool_calls", Any, "OpenAI"),
    ("verbosity", Any, "OpenAI"),
    ("modalities", Any, "OpenAI"),
    ("audio", Off, "OpenAI"),
    ("prediction", Off, "OpenAI"),
    ("web_search_options", Off, "OpenAI"),
    ("chat_template", Off, "vLLM's clients"),
    ("documents", Off, "vLLM's clients"),
    ("mm_processor_kwargs", Off, "vLLM's clients"),
    ("echo", Off, "vLLM's clients"),
    ("add_generation_prompt", True, "vLLM's clients"),
    ("continue_final_message", Off, "vLLM's and SGLang's clients"),
    ("add_special_tokens", Any, "vLLM's clients"),
    ("separate_reasoning", True, "SGLang's clients"),
    ("stream_reasoning", True, "SGLang's clients"),
    ("include_reasoning", True, "vLLM's clients"),
];

/// Of `/v1/responses`.
pub(crate) const RESPONSES: &[Field] = &[
    ("model", Any, "OpenAI"),
    ("user", Any, "OpenAI"),
    ("metadata", Any, "OpenAI"),
    // Nothing is, whatever is asked for.
    ("store", Any, "OpenAI"),
    ("include", Off, "OpenAI"),
    ("tools", Off, "OpenAI"),
    ("parallel_tool_calls", Any, "OpenAI"),
    ("previous_response_id", Null, "OpenAI"),
    ("conversation", Null, "OpenAI"),
    ("prompt", Null, "OpenAI"),
    ("background", Off, "OpenAI"),
    ("max_tool_calls", Null, "OpenAI"),
    ("top_logprobs", Off, "OpenAI"),
    ("service_tier", Any, "OpenAI"),
    ("safety_identifier", Any, "OpenAI"),
    ("prompt_cache_key", Any, "OpenAI"),
    ("prompt_cache_retention", Any, "OpenAI"),
    ("stream_options", Any, "OpenAI"),
    ("truncation", Any, "OpenAI"),
];

/// Of `/tokenize`.
pub(crate) const TOKENIZE: &[Field] = &[
    ("model", Any, "vllm bench"),
    ("add_special_tokens", Any, "vllm bench"),
    ("return_token_strs", Off, "vLLM's clients"),
];

/// Of `/detokenize`.
pub(crate) const DETOKENIZE: &[Field] = &[
    ("model", Any, "vLLM's clients"),
    ("skip_special_tokens", Off, "SGLang's clients"),
];

/// The fields that are known in one object.
type Tables<'a> = &'a [&'a [Field]];

/// Refuses, all at once, the fields that want what is not there. Each object of a request comes with the fields that are
/// known in it.
pub(crate) fn refuse_unsupported(
    objects: &[(&Map<String, Value>, Tables<'_>)],
) -> Result<(), ApiError> {
    let (mut unknown, mut unsupported) = (Vec::new(), Vec::new());
    for (object, known) in objects {
        for (name, value) in *object {
            let mut fields = known.iter().copied().flatten();
            match fields.find(|(known, ..)| known == name) {
                _ if value.is_null() => {}
                Some((_, neutral, _)) if neutral.allows(value) => {}
                Some(_) => unsupported.push(shown(name, value)),
                None => unknown.push(shown(name, value)),
            }
        }
    }
    let said = |fields: &[String], what: &str| {
        let verb = if fields.len() == 1 { "is" } else { "are" };
        (!fields.is_empty()).then(|| format!("{} {verb} not {what}", fields.join(", ")))
    };
    let problems = [
        said(&unsupported, "supported"),
        said(&unknown, "known here"),
    ];
    let problems: Vec<String> = problems.into_iter().flatten().collect();
    if problems.is_empty() {
        return Ok(());
    }
    let it = if unknown.len() + unsupported.len() == 1 {
        "it"
    } else {
        "them"
    };
    Err(ApiError::bad(format!(
        "{}, and ignoring {it} would change the answer",
        problems.join("; ")
    )))
}

/// Characters of a value, and of a name, that a message shows.
const SHOWN: usize = 100;

fn shown(name: &str, value: &Value) -> String {
    let cut = |mut text: String| {
        if text.len() > SHOWN {
            text.truncate(text.floor_char_boundary(SHOWN));
            text.push('…');
        }
        text
    };
    format!("{} ({})", cut(name.to_owned()), cut(value.to_string()))
}

impl Neutral {
    fn allows(self, value: &Value) -> bool {
        match self {
            Any => true,
            Off => is_off(value),
            Number(neutral) => is_off(value) || value.as_f64() == Some(neutral),
            True => value.as_bool() == Some(true),
            Null => value.is_null(),
        }
    }
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

    fn refusal(json: &str) -> Option<String> {
        let object = serde_json::from_str(json).unwrap();
        let refused = refuse_unsupported(&[(&object, &[SAMPLING, CHAT])]);
        refused.err().map(|error| error.message)
    }

    #[test]
    fn fields_that_want_something_are_refused() {
        for fine in [
            "{\"n\":1}",
            "{\"n\":null}",
            "{\"frequency_penalty\":0.0}",
            "{\"regex\":\"\"}",
            "{\"whatever\":null}",
            "{\"add_generation_prompt\":true}",
            "{\"repetition_penalty\":1}",
        ] {
            assert_eq!(refusal(fine), None, "{fine}");
        }
        for wants in [
            "{\"n\":2}",
            "{\"frequency_penalty\":0.1}",
            "{\"prompt_logprobs\":0}",
            "{\"add_generation_prompt\":false}",
            "{\"whatever\":1}",
        ] {
            assert!(refusal(wants).is_some(), "{wants}");
        }
    }

    #[test]
    fn all_of_them_are_named_at_once() {
        let message = refusal("{\"a\":1,\"min_p\":0.5,\"b\":[2],\"n\":3,\"regex\":\"\"}").unwrap();
        assert_eq!(
            message,
            "min_p (0.5), n (3) are not supported; a (1), b ([2]) are not known here, and ignoring them would change the answer"
        );
        let long = format!("{{\"x\":\"{}\"}}", "y".repeat(9999));
        assert!(refusal(&long).unwrap().len() < 300);
    }

    #[test]
    fn no_field_stands_twice_where_it_is_looked_for() {
        let places: [&[&[Field]]; 4] = [
            &[SAMPLING],
            &[GENERATE],
            &[SAMPLING, OPENAI, COMPLETIONS],
            &[SAMPLING, OPENAI, CHAT],
        ];
        for place in places {
            let mut names: Vec<_> = place
                .iter()
                .copied()
                .flatten()
                .map(|field| field.0)
                .collect();
            let all = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), all);
        }
    }
}
