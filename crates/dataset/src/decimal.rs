//! A decimal number as Python's `decimal.Decimal` has it: digits and a scale, nothing rounded.

use std::fmt;

use num_bigint::{BigInt, Sign};

/// A number with a fixed count of decimals: 42.50 is not 42.5, as in Python.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decimal {
    negative: bool,
    /// Without leading zeros; "0" for nothing.
    digits: String,
    scale: usize,
}

/// The longest unscaled number that is read: more than any writer's 76 digits, and converted in no time.
const MAX_BYTES: usize = 64;
/// More decimals than that no writer allows.
pub(crate) const MAX_SCALE: usize = 1000;

impl Decimal {
    /// `unscaled / 10^scale`.
    pub fn new(unscaled: &BigInt, scale: usize) -> Self {
        Self {
            negative: unscaled.sign() == Sign::Minus,
            digits: unscaled.magnitude().to_string(),
            scale,
        }
    }

    /// From two's complement, the highest byte first; None if there are too many or no bytes.
    pub(crate) fn of_bytes(bytes: &[u8], scale: usize) -> Option<Self> {
        let fits = (1..=MAX_BYTES).contains(&bytes.len());
        fits.then(|| Self::new(&BigInt::from_signed_bytes_be(bytes), scale))
    }

    /// What is before the point, rounded towards zero as `int()` does, in digits with a sign.
    pub fn integer(&self) -> String {
        let whole = self.digits.len().saturating_sub(self.scale);
        match &self.digits[..whole] {
            "" | "0" => "0".into(),
            digits if self.negative => format!("-{digits}"),
            digits => digits.into(),
        }
    }

    /// Whether there is anything but zeros after the point.
    pub fn has_fraction(&self) -> bool {
        let whole = self.digits.len().saturating_sub(self.scale);
        self.digits[whole..].bytes().any(|digit| digit != b'0')
    }

    /// Whether it is nothing.
    pub fn is_zero(&self) -> bool {
        self.digits == "0"
    }

    /// The number with all its decimals and without an exponent: `format(number, 'f')` in Python.
    pub fn plain(&self) -> String {
        let digits = format!("{:0>1$}", self.digits, self.scale + 1);
        let (whole, decimals) = digits.split_at(digits.len() - self.scale);
        let sign = if self.negative { "-" } else { "" };
        match decimals {
            "" => format!("{sign}{whole}"),
            _ => format!("{sign}{whole}.{decimals}"),
        }
    }
}

impl fmt::Display for Decimal {
    /// `str(number)` of Python, which begins to write exponents at 0.0000001.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exponent = self.digits.len() as i64 - 1 - self.scale as i64;
        if self.scale == 0 || exponent >= -6 {
            return f.write_str(&self.plain());
        }
        let sign = if self.negative { "-" } else { "" };
        let (first, rest) = self.digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        write!(f, "{sign}{first}{point}{rest}E{exponent}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts and integers are from Python 3.11: str(d), int(d), format(d, 'f') of Decimal(unscaled).scaleb(-scale).
    #[test]
    fn texts_are_those_of_python() {
        for (unscaled, scale, text, integer, plain) in [
            (420, 1, "42.0", "42", "42.0"),
            (4250, 2, "42.50", "42", "42.50"),
            (-4250, 2, "-42.50", "-42", "-42.50"),
            (42, 0, "42", "42", "42"),
            (5, 2, "0.05", "0", "0.05"),
            (-5, 2, "-0.05", "0", "-0.05"),
            (0, 2, "0.00", "0", "0.00"),
            (0, 6, "0.000000", "0", "0.000000"),
            (0, 8, "0E-8", "0", "0.00000000"),
            (1, 6, "0.000001", "0", "0.000001"),
            (1, 7, "1E-7", "0", "0.0000001"),
            (-12, 9, "-1.2E-8", "0", "-0.000000012"),
            (123, 10, "1.23E-8", "0", "0.0000000123"),
        ] {
            let number = Decimal::new(&BigInt::from(unscaled), scale);
            assert_eq!(number.to_string(), text);
            assert_eq!(
                (number.integer().as_str(), number.plain().as_str()),
                (integer, plain)
            );
        }
    }

    #[test]
    fn bytes_are_signed_and_bounded() {
        let of = |bytes: &[u8]| Decimal::of_bytes(bytes, 1).map(|number| number.to_string());
        assert_eq!(of(&[1, 164]).unwrap(), "42.0");
        assert_eq!(of(&[0xfe, 0x5c]).unwrap(), "-42.0");
        assert_eq!(of(&[0xff; 32]).unwrap(), "-0.1");
        assert_eq!((of(&[]), of(&[1; 65])), (None, None));
        let number = Decimal::new(&BigInt::from(425), 1);
        assert!(number.has_fraction() && !number.is_zero());
        assert!(!Decimal::new(&BigInt::from(420), 1).has_fraction());
    }
}
