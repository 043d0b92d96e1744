//! Fields of requests that the server knows and does nothing about: ignored where that does no harm, else refused, so that
//! nothing that would change the answer is ignored without a word.

use serde_json::{Map, Value};

use crate::error::ApiError;

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
