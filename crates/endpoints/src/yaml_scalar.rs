//! What a plain YAML scalar is in YAML 1.1, as PyYAML's `safe_load` resolves it: `no` is false, `0x10` is 16, `1_000` is 1000,
//! `1:30` is 90, `1e3` is a text, `2026-01-01` is a date.

use std::sync::LazyLock;

use regex::Regex;

use crate::value::Value;

/// PyYAML ends with an exception that its callers do not expect: `2026-13-45`, `0b_`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Raises;

/// The kinds of scalars that have a tag of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Bool,
    Int,
    Float,
    Timestamp,
    Merge,
    Text,
}

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a fixed pattern, compiled by the tests")
}

/// Which kind a plain scalar is.
pub(crate) fn kind(text: &str) -> Kind {
    static INT: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r"^(?:[-+]?0b[01_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+)$",
        )
    });
    static FLOAT: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r"^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
        )
    });
    static TIMESTAMP: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r"^(?:[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]*)?(?:[ \t]*(?:Z|[-+][0-9]{1,2}(?::[0-9]{2})?))?)$",
        )
    });
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Kind::Null,
        "yes" | "Yes" | "YES" | "no" | "No" | "NO" | "true" | "True" | "TRUE" | "false"
        | "False" | "FALSE" | "on" | "On" | "ON" | "off" | "Off" | "OFF" => Kind::Bool,
        "<<" => Kind::Merge,
        text if INT.is_match(text) => Kind::Int,
        text if FLOAT.is_match(text) => Kind::Float,
        text if TIMESTAMP.is_match(text) => Kind::Timestamp,
        _ => Kind::Text,
    }
}

/// The value of a scalar of this kind.
pub(crate) fn value(kind: Kind, text: &str) -> Result<Value, Raises> {
    match kind {
        Kind::Null => Ok(Value::None),
        Kind::Bool => match text.to_ascii_lowercase().as_str() {
            "yes" | "true" | "on" => Ok(Value::Bool(true)),
            "no" | "false" | "off" => Ok(Value::Bool(false)),
            _ => Err(Raises),
        },
        Kind::Int => int(text).map(Value::Int),
        Kind::Float => float(text).map(Value::Float),
        Kind::Timestamp => timestamp(text),
        Kind::Merge | Kind::Text => Ok(Value::Str(text.to_owned())),
    }
}

/// What is beyond `i128` is its end.
fn radix(digits: &str, radix: u32) -> Result<i128, Raises> {
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return Err(Raises);
    }
    Ok(i128::from_str_radix(digits, radix).unwrap_or(i128::MAX))
}

fn int(text: &str) -> Result<i128, Raises> {
    let plain = text.replace('_', "");
    let (sign, digits) = match plain.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, plain.strip_prefix('+').unwrap_or(&plain)),
    };
    let n = if digits == "0" {
        0
    } else if let Some(digits) = digits.strip_prefix("0b") {
        radix(digits, 2)?
    } else if let Some(digits) = digits.strip_prefix("0x") {
        radix(digits, 16)?
    } else if digits.starts_with('0') {
        radix(digits, 8)?
    } else {
        let mut n: i128 = 0;
        for part in digits.split(':') {
            n = n.saturating_mul(60).saturating_add(radix(part, 10)?);
        }
        n
    };
    Ok(n.saturating_mul(sign))
}

fn float(text: &str) -> Result<f64, Raises> {
    let plain = text.replace('_', "").to_lowercase();
    let (sign, digits) = match plain.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, plain.strip_prefix('+').unwrap_or(&plain)),
    };
    let x = match digits {
        ".inf" => f64::INFINITY,
        ".nan" => f64::NAN,
        digits => {
            let mut x = 0.0;
            for part in digits.split(':') {
                x = x * 60.0 + ossmark_python::parse_float(part).ok_or(Raises)?;
            }
            x
        }
    };
    Ok(sign * x)
}

fn timestamp(text: &str) -> Result<Value, Raises> {
    let numbers: Vec<u32> = text
        .split(|c: char| !c.is_ascii_digit())
        .filter(|part| !part.is_empty())
        .take(6)
        .map(|part| part.parse().map_err(|_| Raises))
        .collect::<Result<_, _>>()?;
    let [year, month, day, time @ ..] = &numbers[..] else {
        return Err(Raises);
    };
    let leap = year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    let days = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    let is_time = time.iter().zip([23, 59, 59]).all(|(n, most)| *n <= most);
    if *year == 0 || *day == 0 || *day > days || !is_time {
        return Err(Raises);
    }
    Ok(Value::Other("a date"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_are_those_of_yaml_1_1() {
        let shown = |text: &str| match value(kind(text), text) {
            Ok(value) => value.shown(),
            Err(Raises) => "raises".into(),
        };
        for (text, expected) in [
            ("no", "false"),
            ("yes", "true"),
            ("On", "true"),
            ("y", r#"the text "y""#),
            ("0x10", "16"),
            ("-0b101", "-5"),
            ("010", "8"),
            ("08", r#"the text "08""#),
            ("1_000", "1000"),
            ("1:30", "90"),
            ("1:30.5", "90.5"),
            ("1e3", r#"the text "1e3""#),
            ("1.0e3", r#"the text "1.0e3""#),
            ("1.0e+3", "1000"),
            ("1.", "1"),
            (".5", "0.5"),
            ("-.inf", "-inf"),
            (".NaN", "NaN"),
            ("~", "nothing (null)"),
            ("2026-02-28", "a date"),
            ("2026-02-29", "raises"),
            ("2026-13-45", "raises"),
            ("2026-2-3", r#"the text "2026-2-3""#),
            ("2026-2-3 4:05:06", "a date"),
            ("0b_", "raises"),
            ("2026-10-C1", r#"the text "2026-10-C1""#),
            ("10487924139932647040", "10487924139932647040"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }
}
