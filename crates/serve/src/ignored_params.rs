//! Fields of requests that the server knows and does nothing about: ignored where that does no harm, else refused, so that
//! nothing that would change the answer is ignored without a word.

use serde_json::{Map, Value};

use crate::error::ApiError;

/// When a field that is not supported may be ignored.
#[derive(Clone, Copy, Debug)]
pub(crate) enum IgnoredWhen {
    /// Whatever its value: it does not touch the answer.
    Always,
    /// While it is false, 0 or empty.
    Off,
    /// While it has this value or is 0.
    Number(f64),
}

/// Fields that clients send without wanting anything by them.
pub(crate) type IgnoredParams = &'static [(&'static str, IgnoredWhen)];

/// Of the sampling parameters; both interfaces.
pub(crate) const IGNORED_SAMPLING: IgnoredParams = &[
    ("frequency_penalty", IgnoredWhen::Off),
    ("presence_penalty", IgnoredWhen::Off),
    ("repetition_penalty", IgnoredWhen::Number(1.0)),
    ("min_p", IgnoredWhen::Off),
    // An answer has at least one token anyway.
    ("min_tokens", IgnoredWhen::Number(1.0)),
    ("min_new_tokens", IgnoredWhen::Number(1.0)),
    ("n", IgnoredWhen::Number(1.0)),
    ("ignore_eos", IgnoredWhen::Off),
    ("stop", IgnoredWhen::Off),
    ("stop_regex", IgnoredWhen::Off),
    ("regex", IgnoredWhen::Off),
    ("json_schema", IgnoredWhen::Off),
    ("ebnf", IgnoredWhen::Off),
    ("structural_tag", IgnoredWhen::Off),
    ("logit_bias", IgnoredWhen::Off),
    ("custom_params", IgnoredWhen::Off),
    // Byte-level tokens are joined without spaces either way.
    ("spaces_between_special_tokens", IgnoredWhen::Always),
];

/// Refuses the first field that would have changed the answer.
pub(crate) fn refuse_unsupported(
    rest: &Map<String, Value>,
    ignored: &[IgnoredParams],
) -> Result<(), ApiError> {
    for (name, value) in rest {
        let rule = ignored
            .iter()
            .copied()
            .flatten()
            .find(|(known, _)| known == name);
        let fine = match rule {
            _ if value.is_null() => true,
            None => false,
            Some((_, IgnoredWhen::Always)) => true,
            Some((_, IgnoredWhen::Off)) => is_off(value),
            Some((_, IgnoredWhen::Number(neutral))) => {
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
                "{name} ({value}) {problem}, and ignoring it would change the answer"
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
        let refused = |json: &str| {
            refuse_unsupported(&serde_json::from_str(json).unwrap(), &[IGNORED_SAMPLING]).is_err()
        };
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
