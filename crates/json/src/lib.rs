//! JSON as Python's `json` module reads it, for `serde_json`, which reads less.
//!
//! Owned here: the difference between the two. What is read of a file is the caller's business.
//!
//! | in the text | Python 3.11 | `serde_json` | [`strict`] makes of it |
//! |---|---|---|---|
//! | `NaN`, `Infinity`, `-Infinity` | floats | refused | texts that [`float`] knows |
//! | `1e999`, integers beyond the range of f64 | inf, an integer | refused (where the value is kept) | an infinity |
//! | integers beyond 64 bits | an integer | the nearest f64 | left to it |
//! | `-0` | the integer 0 | the float -0.0 | `0` |
//! | half a surrogate pair, `\ud800` | a text with it | refused (where the value is kept) | U+FFFD |
//! | a key that is there twice | the last counts | `Value`: the last; derived structs: refused | left to the caller |
//! | more than 128 levels | up to some thousand | refused (where the value is kept) | left to it |
#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// What stands for a float that JSON has not; no text of a file begins with NUL and one of these names by chance.
const STANDS_FOR: [(&str, &str, f64); 3] = [
    ("NaN", r#""\u0000NaN""#, f64::NAN),
    ("-Infinity", r#""\u0000-Infinity""#, f64::NEG_INFINITY),
    ("Infinity", r#""\u0000Infinity""#, f64::INFINITY),
];

/// `json.loads(text)`.
///
/// # Errors
/// Where Python would refuse the text, it is nested more than 128 levels deep, or is no `T`.
pub fn loads<T: DeserializeOwned>(text: &str) -> Result<T, serde_json::Error> {
    serde_json::from_str(&strict(text))
}

/// The text in JSON that `serde_json` reads; the text itself where nothing has to be said otherwise. What is no JSON for
/// Python either stays none.
pub fn strict(text: &str) -> Cow<'_, str> {
    static PARTS: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r#"(?s)"(?:[^"\\]|\\.)*"|-?Infinity|NaN|-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?"#)
    });
    PARTS.replace_all_but(text, |part| match part {
        text if text.starts_with('"') => without_lone_surrogates(text).map(Cow::Owned),
        // With a space, because what stands before it may be a digit.
        "-0" => Some(Cow::Borrowed(" 0")),
        // No finite f64 has fewer characters and is out of range: `1e999`.
        number if number.len() < 5 && !number.starts_with(['N', 'I']) => None,
        number => match number.parse::<f64>() {
            Ok(n) if !n.is_finite() => stands_for(n).map(Cow::Borrowed),
            _ => None,
        },
    })
}

/// Only `NaN`, `Infinity` and `-Infinity` said otherwise, so that [`restored`] gives every part of the text back to Python as
/// it was.
pub fn named(text: &str) -> Cow<'_, str> {
    static PARTS: LazyLock<Regex> =
        LazyLock::new(|| pattern(r#"(?s)"(?:[^"\\]|\\.)*"|-?Infinity|NaN"#));
    PARTS.replace_all_but(text, |part| {
        let known = STANDS_FOR.iter().find(|(name, ..)| *name == part);
        known.map(|(_, text, _)| Cow::Borrowed(*text))
    })
}

/// What [`named`] changed, changed back.
pub fn restored(json: &str) -> Cow<'_, str> {
    let mut out = Cow::Borrowed(json);
    for (name, text, _) in STANDS_FOR {
        if out.contains(text) {
            out = Cow::Owned(out.replace(text, name));
        }
    }
    out
}

/// The float that a text stands for.
pub fn float(text: &str) -> Option<f64> {
    Some(known(text)?.1)
}

/// What the float that a text stands for is called in Python's JSON.
pub fn name(text: &str) -> Option<&'static str> {
    Some(known(text)?.0)
}

fn known(text: &str) -> Option<(&'static str, f64)> {
    let name = text.strip_prefix('\0')?;
    let known = STANDS_FOR.iter().find(|(known, ..)| *known == name);
    known.map(|(name, _, number)| (*name, *number))
}

/// A value to write as JSON: floats that JSON has not are their names as texts.
pub fn shown(value: Value) -> Value {
    match value {
        Value::String(text) => match name(&text) {
            Some(name) => name.into(),
            None => text.into(),
        },
        other => other,
    }
}

/// A value's JSON as Python writes it, for messages.
pub fn text(value: &Value) -> String {
    restored(&value.to_string()).into_owned()
}

fn stands_for(number: f64) -> Option<&'static str> {
    let same = |other: f64| other == number || (other.is_nan() && number.is_nan());
    let known = STANDS_FOR.iter().find(|(.., other)| same(*other));
    known.map(|(_, text, _)| *text)
}

fn without_lone_surrogates(text: &str) -> Option<String> {
    if !(text.contains(r"\ud") || text.contains(r"\uD"))
        || serde_json::from_str::<String>(text).is_ok()
    {
        return None;
    }
    static ESCAPES: LazyLock<Regex> = LazyLock::new(|| {
        let (high, low) = (
            r"\\u[dD][89abAB][0-9a-fA-F]{2}",
            r"\\u[dD][c-fC-F][0-9a-fA-F]{2}",
        );
        pattern(&format!(r"(?s){high}{low}|{high}|{low}|\\."))
    });
    let replaced = ESCAPES.replace_all(text, |found: &Captures<'_>| match &found[0] {
        half if half.len() == 6 => r"\ufffd".to_owned(),
        other => other.to_owned(),
    });
    Some(replaced.into_owned())
}

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a fixed pattern, compiled by the tests")
}

trait ReplaceSome {
    /// Replaces the matches of which `with` makes something else.
    fn replace_all_but<'t>(
        &self,
        text: &'t str,
        with: impl Fn(&str) -> Option<Cow<'static, str>>,
    ) -> Cow<'t, str>;
}

impl ReplaceSome for Regex {
    fn replace_all_but<'t>(
        &self,
        text: &'t str,
        with: impl Fn(&str) -> Option<Cow<'static, str>>,
    ) -> Cow<'t, str> {
        let mut out = String::new();
        let mut copied = 0;
        for part in self.find_iter(text) {
            if let Some(new) = with(part.as_str()) {
                out += &text[copied..part.start()];
                out += &new;
                copied = part.end();
            }
        }
        if copied == 0 {
            return Cow::Borrowed(text);
        }
        out += &text[copied..];
        Cow::Owned(out)
    }
}

#[cfg(test)]
mod tests;
