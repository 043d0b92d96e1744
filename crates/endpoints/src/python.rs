//! What Python's `float()`, `int()` and `round()` make of a value, and where they raise.

use num_traits::ToPrimitive;
use ossmark_python::IntDigits;

use crate::value::Value;

/// The exception that Python raises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Raised {
    Type,
    Value,
    Overflow,
}

/// `float(value)`.
pub(crate) fn float(value: &Value) -> Result<f64, Raised> {
    match value {
        Value::Bool(b) => Ok(f64::from(u8::from(*b))),
        Value::Int(n) => Ok(*n as f64),
        Value::Float(x) => Ok(*x),
        Value::Str(text) => ossmark_python::parse_float(text).ok_or(Raised::Value),
        _ => Err(Raised::Type),
    }
}

/// `int(value)`.
pub(crate) fn int(value: &Value) -> Result<i128, Raised> {
    match value {
        Value::Bool(b) => Ok(i128::from(*b)),
        Value::Int(n) => Ok(*n),
        Value::Float(x) => truncated(*x),
        Value::Str(text) => int_of_text(text).ok_or(Raised::Value),
        _ => Err(Raised::Type),
    }
}

/// `int(x)`; what is beyond `i128` is its end.
pub(crate) fn truncated(x: f64) -> Result<i128, Raised> {
    match x {
        x if x.is_nan() => Err(Raised::Value),
        x if x.is_infinite() => Err(Raised::Overflow),
        x => Ok(x.trunc() as i128),
    }
}

/// `int(text)`; what is beyond `i128` is its end.
pub(crate) fn int_of_text(text: &str) -> Option<i128> {
    let n = ossmark_python::parse_int(text, IntDigits::DEFAULT)?;
    let end = if n < 0.into() { i128::MIN } else { i128::MAX };
    Some(n.to_i128().unwrap_or(end))
}

/// `round(x, 2)`: the nearest of two decimals to the exact value of the float.
pub(crate) fn round_2(x: f64) -> f64 {
    format!("{x:.2}").parse().unwrap_or(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_what_python_makes_of_them() {
        assert_eq!(float(&Value::Str(" 1_0.5 ".into())), Ok(10.5));
        assert_eq!(float(&Value::Str("81%".into())), Err(Raised::Value));
        assert_eq!(float(&Value::None), Err(Raised::Type));
        assert_eq!(int(&Value::Float(-2.9)), Ok(-2));
        assert_eq!(int(&Value::Float(f64::NAN)), Err(Raised::Value));
        assert_eq!(int(&Value::Float(f64::INFINITY)), Err(Raised::Overflow));
        assert_eq!(int_of_text("9".repeat(50).as_str()), Some(i128::MAX));
        // round(2.675, 2) is 2.67 and round(0.125, 2) is 0.12.
        assert_eq!((round_2(2.675), round_2(0.125)), (2.67, 0.12));
        assert!(round_2(f64::INFINITY).is_infinite());
    }
}
