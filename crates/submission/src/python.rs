//! The official checker is a Python program over untyped JSON; what it accepts depends on Python's ideas of truth, order
//! and numbers. Those ideas, for JSON values; for texts and numbers they are in `crates/python`. Pure.

use num_traits::ToPrimitive;
use ossmark_python::{IntDigits, parse_int};
pub(crate) use ossmark_python::{float_repr as repr, parse_float as float_of};
use serde_json::Value;

/// As JSON a byte takes 16 in memory (a list of digits), and eighty where it begins a list or an object. Reports of
/// mlcommons/endpoints are the longest that are read: some 100 kB.
const MAX_JSON_BYTES: usize = 4 << 20;
const MAX_JSON_PARTS: usize = 100_000;

/// How many lists and objects a text begins, at most: brackets in strings count as well.
pub(crate) fn parts(text: &str) -> usize {
    text.bytes().filter(|b| matches!(b, b'[' | b'{')).count()
}

/// `json.loads(text)`: besides JSON it takes NaN, Infinity, numbers of any size and halves of surrogate pairs. Deeper than
/// 128 levels it is refused here; Python ends at some thousand.
pub(crate) fn loads(text: &str) -> Result<Value, serde_json::Error> {
    if text.len() > MAX_JSON_BYTES || parts(text) > MAX_JSON_PARTS {
        return Err(serde::de::Error::custom(format!(
            "{} bytes with {} brackets, expected at most {MAX_JSON_BYTES} with {MAX_JSON_PARTS}",
            text.len(),
            parts(text)
        )));
    }
    ossmark_json::loads(text)
}

/// `bool(value)`.
pub(crate) fn truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(b) => *b,
        Value::Number(n) => n.as_f64() != Some(0.0),
        Value::String(s) => !s.is_empty(),
        Value::Array(a) => !a.is_empty(),
        Value::Object(o) => !o.is_empty(),
    }
}

/// A value that `<` accepts beside a number; True is 1.
pub(crate) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Bool(b) => Some(f64::from(u8::from(*b))),
        Value::String(text) => ossmark_json::float(text),
        value => value.as_f64(),
    }
}

/// `float(value)`; None where Python raises.
pub(crate) fn float(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => number(value).or_else(|| float_of(text)),
        value => number(value),
    }
}

/// `int(value)`; None where Python raises. Numbers beyond i64 are of no interest here.
pub(crate) fn int(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => {
            parse_int(text, IntDigits::DEFAULT).map(|n| n.to_i64().unwrap_or(i64::MAX))
        }
        value => number(value).filter(|n| n.is_finite()).map(|n| n as i64),
    }
}

/// Equal as Python compares a JSON value with an integer.
pub(crate) fn equals(value: &Value, wanted: u64) -> bool {
    match value {
        Value::Number(n) => {
            n.as_u64() == Some(wanted)
                || (n.is_f64()
                    && n.as_f64()
                        .is_some_and(|f| f.fract() == 0.0 && f as u128 == u128::from(wanted)))
        }
        Value::Bool(b) => u64::from(*b) == wanted,
        _ => false,
    }
}

/// `str(value)` of a JSON value, as far as a CSV field of numbers and text needs it.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => "None".into(),
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::String(text) => ossmark_json::float(text).map_or_else(|| text.clone(), repr),
        Value::Number(n) if n.is_f64() => n.as_f64().map_or_else(|| n.to_string(), repr),
        value => ossmark_json::text(value),
    }
}

/// The lines of a text file as Python's universal newlines give them, each without its end.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = &str> {
    // A "\r\n" gives one empty line too many, which nothing here minds but the count of lines.
    text.split('\n')
        .flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

/// A value for a message: short, on one line.
pub(crate) fn shown(value: &Value) -> String {
    let text = ossmark_json::text(value);
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_as_python_reads_and_writes_them() {
        assert_eq!(float(&json!("1_000.5")), Some(1000.5));
        assert_eq!(float(&json!(" inf ")), Some(f64::INFINITY));
        // As CPython has it, digits of any script.
        assert_eq!(float(&json!("٣.٥")), Some(3.5));
        assert_eq!(int(&json!("٤٢")), Some(42));
        assert_eq!(int(&json!("9".repeat(20))), Some(i64::MAX));
        assert_eq!(
            (
                float(&json!("1__0")),
                float(&json!("_1")),
                float(&json!("12 px"))
            ),
            (None, None, None)
        );
        assert_eq!(
            (int(&json!("8")), int(&json!(" +1_0 ")), int(&json!(2.9))),
            (Some(8), Some(10), Some(2))
        );
        assert_eq!(
            (int(&json!("1.5")), int(&json!("N/A")), int(&json!(null))),
            (None, None, None)
        );
        for (number, text) in [
            (70.0, "70.0"),
            (60.698, "60.698"),
            (1e16, "1e+16"),
            (1.5e-5, "1.5e-05"),
            (123456789012345.0, "123456789012345.0"),
            (0.0001, "0.0001"),
        ] {
            assert_eq!(repr(number), text);
        }
        let odd =
            loads(r#"{"a": NaN, "b": [-Infinity, 1e999], "c": "NaN \ud800", "d": 3}"#).unwrap();
        assert!(number(&odd["a"]).unwrap().is_nan() && number(&odd["b"][1]) == Some(f64::INFINITY));
        assert_eq!(
            (odd["c"].as_str(), odd["d"].as_u64()),
            (Some("NaN \u{fffd}"), Some(3))
        );
        // What stands for a float inside is nothing for people.
        let in_csv = [&odd["a"], &odd["b"][0], &odd["b"][1]].map(text);
        assert_eq!(in_csv, ["nan", "-inf", "inf"]);
        assert_eq!(shown(&odd["a"]), "NaN");
        assert_eq!(shown(&odd["b"]), "[-Infinity,Infinity]");
        assert!(loads("{\"a\": nan}").is_err() && loads("-inf").is_err());
        assert!(
            equals(&json!(6396), 6396)
                && equals(&json!(6396.0), 6396)
                && !equals(&json!("6396"), 6396)
        );
    }
}
