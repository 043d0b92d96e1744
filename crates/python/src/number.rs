//! `int()`, `float()` and the text of a float.
//!
//! Owns: what Python takes for a number in a string. Does not own: arithmetic. Pure functions; any thread.

use num_bigint::BigInt;

use crate::text::{digit, is_space};

/// How many digits `int()` takes before it raises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IntDigits(usize);

impl IntDigits {
    /// CPython's default.
    pub const DEFAULT: Self = Self(4300);
    /// After LiveCodeBench has been imported: its `testing_util.py` raises the limit for the process that grades the other
    /// data sets too.
    pub const WITH_LIVECODEBENCH: Self = Self(50_000);

    /// The limit that holds while a log is graded: LiveCodeBench is imported when one of its data sets occurs in it.
    pub fn of_log(has_livecodebench: bool) -> Self {
        if has_livecodebench {
            Self::WITH_LIVECODEBENCH
        } else {
            Self::DEFAULT
        }
    }

    /// Whether `int()` takes so many digits.
    pub fn allows(self, digits: usize) -> bool {
        digits <= self.0
    }
}

/// Digits of other scripts and other blanks become ASCII, as CPython does it before it parses a number. A text that is ASCII
/// already is left alone, and so are ASCII blanks that C does not know (U+001C to U+001F).
fn to_ascii(text: &str) -> Option<String> {
    text.chars()
        .map(|c| match c {
            c if c < '\x7f' => Some(c),
            c if is_space(c) => Some(' '),
            c => digit(c).map(|value| char::from(b'0' + value)),
        })
        .collect()
}

fn c_space(c: char) -> bool {
    matches!(c, '\t'..='\r' | ' ')
}

/// Removes underscores that stand between two digits; any other underscore makes the text no number.
fn without_underscores(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let between_digits = |at: usize| {
        at > 0
            && bytes[at - 1].is_ascii_digit()
            && bytes.get(at + 1).is_some_and(|next| next.is_ascii_digit())
    };
    bytes
        .iter()
        .enumerate()
        .filter_map(|(at, &byte)| match byte {
            b'_' if between_digits(at) => None,
            b'_' => Some(None),
            byte => Some(Some(char::from(byte))),
        })
        .collect()
}

/// `int(text)`; `None` where Python raises `ValueError`.
pub fn parse_int(text: &str, limit: IntDigits) -> Option<BigInt> {
    let ascii = to_ascii(text)?;
    let trimmed = ascii.trim_matches(c_space);
    let plain = without_underscores(trimmed)?;
    let digits = plain.strip_prefix(['+', '-']).unwrap_or(&plain);
    if digits.is_empty()
        || !digits.bytes().all(|byte| byte.is_ascii_digit())
        || !limit.allows(digits.len())
    {
        return None;
    }
    plain.parse().ok()
}

/// `float(text)`; `None` where Python raises `ValueError`.
pub fn parse_float(text: &str) -> Option<f64> {
    let ascii = to_ascii(text)?;
    let plain = without_underscores(ascii.trim_matches(c_space))?;
    // Rust's grammar of floats is Python's from here: signs, `inf`, `infinity`, `nan` in any case, a point at either end.
    plain.parse().ok()
}

/// `repr(value)`, which is what an f-string prints.
pub fn float_repr(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').expect("Rust prints an exponent");
    let exponent: i32 = exponent.parse().expect("Rust prints an integer exponent");
    // CPython switches to an exponent below 1e-4 and from 1e16 on.
    if (-4..16).contains(&exponent) {
        let plain = format!("{value}");
        return if plain.contains('.') {
            plain
        } else {
            plain + ".0"
        };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn int(text: &str) -> Option<i64> {
        parse_int(text, IntDigits::DEFAULT).map(|value| value.try_into().expect("small"))
    }

    #[test]
    fn int_takes_what_python_takes() {
        for (text, value) in [
            ("42", Some(42)),
            (" \n042\u{a0}", Some(42)),
            ("-4_2", Some(-42)),
            ("+0_0", Some(0)),
            ("٤٢", Some(42)),
            ("٤_2", Some(42)),
            ("4__2", None),
            ("_42", None),
            ("42_", None),
            ("+-4", None),
            ("- 4", None),
            ("", None),
            ("4.0", None),
            ("²", None),
            ("\x1c42", None),
            ("\x1c٤٢", None),
            ("0x10", None),
        ] {
            assert_eq!(int(text), value, "{text:?}");
        }
    }

    #[test]
    fn int_stops_at_the_limit_of_digits() {
        let zeros = |n| "0".repeat(n) + "7";
        assert_eq!(int(&zeros(4299)), Some(7));
        assert_eq!(int(&zeros(4300)), None);
        assert_eq!(
            parse_int(&zeros(4300), IntDigits::WITH_LIVECODEBENCH),
            Some(7.into())
        );
    }

    #[test]
    fn float_takes_what_python_takes() {
        for (text, value) in [
            (" 1_0.5e1 ", Some(105.0)),
            (".5", Some(0.5)),
            ("5.", Some(5.0)),
            ("-Infinity", Some(f64::NEG_INFINITY)),
            ("٣.٥", Some(3.5)),
            ("1e400", Some(f64::INFINITY)),
            (".", None),
            ("1__0", None),
            ("1_.0", None),
            ("e5", None),
            ("1e", None),
            ("", None),
            ("1 2", None),
        ] {
            assert_eq!(parse_float(text), value, "{text:?}");
        }
        assert!(parse_float("+NaN").expect("a float").is_nan());
    }

    #[test]
    fn float_text_is_pythons() {
        for (value, text) in [
            (42.0, "42.0"),
            (-0.0, "-0.0"),
            (1e16, "1e+16"),
            (123456789012345680.0, "1.2345678901234568e+17"),
            (9999999999999998.0, "9999999999999998.0"),
            (1e-4, "0.0001"),
            (1.5e-5, "1.5e-05"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
        ] {
            assert_eq!(float_repr(value), text);
        }
    }
}
