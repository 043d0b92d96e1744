//! A printed number: all the numbers that are printed so.

use std::fmt;

/// Both ends included.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    low: f64,
    high: f64,
    /// As it is shown: digits after the point.
    digits: usize,
    /// Read, not computed.
    is_printed: bool,
}

/// What floats lose in some additions and quotients of figures below 1e9.
const SLACK: f64 = 1e-9;

impl Range {
    /// Half a unit of the last digit to both sides; a whole number is a count, and exact. Nothing else than digits and one
    /// point is a printed number.
    pub(crate) fn printed(text: &str) -> Option<Range> {
        let plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let value: f64 = text.parse().ok().filter(|_| plain && !text.is_empty())?;
        let digits = text.split_once('.').map_or(0, |(_, digits)| digits.len());
        let half = match digits {
            0 => 0.0,
            digits => 0.5 * 10f64.powi(-i32::try_from(digits).unwrap_or(i32::MAX)),
        };
        Some(Range {
            low: value - half,
            high: value + half,
            digits,
            is_printed: true,
        })
    }

    pub(crate) fn exactly(value: f64) -> Range {
        Range::between(value, value)
    }

    pub(crate) fn between(low: f64, high: f64) -> Range {
        Range {
            low,
            high,
            digits: 3,
            is_printed: false,
        }
    }

    pub(crate) fn low(&self) -> f64 {
        self.low
    }

    pub(crate) fn high(&self) -> f64 {
        self.high
    }

    pub(crate) fn plus(self, other: Range) -> Range {
        Range::between(self.low + other.low, self.high + other.high)
    }

    /// Of numbers that are not negative; nothing per nothing is nothing, as the scorers have it.
    pub(crate) fn per(self, whole: Range) -> Range {
        if whole.high <= 0.0 {
            return Range::exactly(0.0);
        }
        Range::between(
            (self.low / whole.high).max(0.0),
            self.high / whole.low.max(f64::MIN_POSITIVE),
        )
    }

    pub(crate) fn of(self, whole: Range) -> Range {
        Range::between(self.low * whole.low, self.high * whole.high)
    }

    pub(crate) fn times(self, factor: f64) -> Range {
        Range::between(self.low * factor, self.high * factor)
    }

    /// Wider by as much to both sides.
    pub(crate) fn or_so(self, more: f64) -> Range {
        Range::between(self.low - more, self.high + more)
    }

    /// Whether some number is in both. One number is printed with as many digits in one way only.
    pub(crate) fn meets(self, other: Range) -> bool {
        if self.is_printed && other.is_printed && self.digits == other.digits {
            let apart = (self.low - other.low).abs();
            return apart < 0.5 * 10f64.powi(-i32::try_from(self.digits).unwrap_or(i32::MAX));
        }
        let slack = SLACK * self.high.abs().max(other.high.abs()).max(1.0);
        self.low <= other.high + slack && other.low <= self.high + slack
    }

    pub(crate) fn holds_a_whole_number(self) -> bool {
        self.meets(Range::exactly(self.low.ceil())) || self.meets(Range::exactly(self.high.floor()))
    }
}

/// The middle.
impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Range {
            low, high, digits, ..
        } = *self;
        match low == high {
            true => write!(f, "{low}"),
            false => write!(f, "{:.digits$}", (low + high) / 2.0),
        }
    }
}
