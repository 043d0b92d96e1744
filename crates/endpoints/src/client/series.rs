//! The block of figures that the client's summary has for a series of values.
//!
//! Percentiles are values that were seen (numpy's `lower`), integers are summed exactly and divided once, the standard
//! deviation is the sample's in one formula over sums, the histogram's edges are evenly spaced logarithms. The formulas
//! are the client's; so are their roundings, since each operation is one of doubles in its order.

use ossmark_report::early_stopping::allowed_over;
use serde::ser::{Serialize, SerializeMap, Serializer};

/// Every percentile that a summary has, as it is written.
pub(super) const GRID: [(&str, f64); 12] = [
    ("99.9", 99.9),
    ("99.0", 99.0),
    ("97.0", 97.0),
    ("95.0", 95.0),
    ("90.0", 90.0),
    ("80.0", 80.0),
    ("75.0", 75.0),
    ("50.0", 50.0),
    ("25.0", 25.0),
    ("10.0", 10.0),
    ("5.0", 5.0),
    ("1.0", 1.0),
];
/// Early stopping says nothing below the median.
const LEAST_STOPPING: f64 = 50.0;
const BUCKETS: usize = 30;

/// A sum or a value: Python keeps integers apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// Nanoseconds or tokens.
    Int(i128),
    /// Nanoseconds of one token.
    Float(f64),
}

impl Number {
    /// What is beyond 53 bits is rounded.
    pub(super) fn as_f64(self) -> f64 {
        match self {
            Self::Int(n) => n as f64,
            Self::Float(x) => x,
        }
    }
}

impl Serialize for Number {
    /// What is beyond 64 bits, and any clock, is no longer exact.
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Int(n) => match i64::try_from(*n) {
                Ok(n) => to.serialize_i64(n),
                Err(_) => to.serialize_f64(*n as f64),
            },
            Self::Float(x) => to.serialize_f64(*x),
        }
    }
}

/// Figures of a series, in the client's order.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(untagged)]
pub enum Series {
    /// Nothing was seen.
    Empty {},
    /// Nothing was seen of a latency.
    EmptyTail {
        /// All null.
        early_stopping_percentiles: Percentiles,
    },
    /// At least one value.
    Seen(Box<Block>),
}

/// Of at least one value.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Block {
    #[serde(skip)]
    pub(super) count: usize,
    /// The sum of the values' squares.
    #[serde(skip)]
    pub(super) squares: f64,
    pub(super) total: Number,
    pub(super) min: Number,
    pub(super) max: Number,
    pub(super) median: f64,
    pub(super) avg: f64,
    pub(super) std_dev: f64,
    pub(super) percentiles: Percentiles,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) early_stopping_percentiles: Option<Percentiles>,
    pub(super) histogram: Histogram,
}

#[derive(Clone, Debug, serde::Serialize)]
pub(super) struct Histogram {
    pub(super) buckets: Vec<(f64, f64)>,
    pub(super) counts: Vec<usize>,
}

/// By their names, in the grid's order.
#[derive(Clone, Debug)]
pub struct Percentiles(pub(super) Vec<(&'static str, Option<f64>)>);

impl Serialize for Percentiles {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl Series {
    /// Of integers: nanoseconds, or tokens. A latency (`is_tail`) has early stopping's estimates.
    pub(super) fn of_integers(values: &[i64], is_tail: bool) -> Self {
        // More than 2^63 nanoseconds squared are beyond any clock.
        let total = values
            .iter()
            .fold(0i128, |sum, v| sum.saturating_add((*v).into()));
        let squares = values.iter().fold(0i128, |sum, v| {
            sum.saturating_add(i128::from(*v) * i128::from(*v))
        });
        let n = values.len() as u64;
        let mut sorted: Vec<f64> = values.iter().map(|v| *v as f64).collect();
        sorted.sort_by(f64::total_cmp);
        let (Some(min), Some(max)) = (values.iter().min(), values.iter().max()) else {
            return Self::empty(is_tail);
        };
        let spread = squares as f64 - quotient(total.saturating_mul(total), n);
        Self::seen(
            &sorted,
            [total, (*min).into(), (*max).into()].map(Number::Int),
            quotient(total, n),
            (spread, squares as f64),
            is_tail,
        )
    }

    /// Of doubles, summed in the order in which they came: nanoseconds for each token.
    pub(super) fn of_doubles(values: &[f64]) -> Self {
        let total = values.iter().fold(0.0, |sum, v| sum + v);
        let squares = values.iter().fold(0.0, |sum, v| sum + v * v);
        let n = values.len() as f64;
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (Some(&min), Some(&max)) = (sorted.first(), sorted.last()) else {
            return Self::empty(true);
        };
        let spread = squares - total * total / n;
        let ends = [total, min, max].map(Number::Float);
        Self::seen(&sorted, ends, total / n, (spread, squares), true)
    }

    fn empty(is_tail: bool) -> Self {
        if is_tail {
            Self::EmptyTail {
                early_stopping_percentiles: stopping(&[]),
            }
        } else {
            Self::Empty {}
        }
    }

    fn seen(
        sorted: &[f64],
        [total, min, max]: [Number; 3],
        avg: f64,
        (spread, squares): (f64, f64),
        is_tail: bool,
    ) -> Self {
        let n = sorted.len();
        let std_dev = match n {
            1 => 0.0,
            _ => (spread / (n - 1) as f64).max(0.0).sqrt(),
        };
        let percentiles = GRID.map(|(name, p)| (name, Some(lower(sorted, p))));
        Self::Seen(Box::new(Block {
            count: n,
            squares,
            total,
            min,
            max,
            median: lower(sorted, 50.0),
            avg,
            std_dev,
            percentiles: Percentiles(percentiles.into()),
            early_stopping_percentiles: is_tail.then(|| stopping(sorted)),
            histogram: histogram(sorted),
        }))
    }

    /// The sum of what was seen.
    pub fn total(&self) -> Option<Number> {
        match self {
            Self::Seen(block) => Some(block.total),
            Self::Empty {} | Self::EmptyTail { .. } => None,
        }
    }

    /// A value that was seen, of the percentiles that the client has (99.9, 99, 97, 95, 90, ...).
    pub fn percentile(&self, p: f64) -> Option<f64> {
        let Self::Seen(block) = self else { return None };
        let at = GRID.iter().position(|(_, known)| *known == p)?;
        block.percentiles.0[at].1
    }
}

/// The nearest double to `a / n`, as Python divides integers.
fn quotient(a: i128, n: u64) -> f64 {
    let shift = a.unsigned_abs().leading_zeros().min(127);
    let wide = a.unsigned_abs() << shift;
    // At least 63 bits; what is left over sets the last, which decides a tie.
    let bits = (wide / u128::from(n)) | u128::from(!wide.is_multiple_of(u128::from(n)));
    let size = bits as f64 * 2f64.powi(-(shift as i32));
    if a < 0 { -size } else { size }
}

/// `numpy.percentile(..., method="lower")`.
fn lower(sorted: &[f64], p: f64) -> f64 {
    let at = (sorted.len() - 1) as f64 * (p / 100.0);
    sorted[at.floor() as usize]
}

/// For each percentile the highest but so many as may be over it; nothing below two, of which one is over.
fn stopping(sorted: &[f64]) -> Percentiles {
    let grid = GRID.iter().filter(|(_, p)| *p >= LEAST_STOPPING);
    let estimate = |p: f64| {
        let over = allowed_over(sorted.len() as u64, p / 100.0)?;
        (over > 0).then(|| sorted[sorted.len() - over as usize])
    };
    Percentiles(grid.map(|(name, p)| (*name, estimate(*p))).collect())
}

fn histogram(sorted: &[f64]) -> Histogram {
    let low = sorted[0].max(1.0);
    let high = sorted[sorted.len() - 1].max(low * 10.0);
    let (from, to) = (low.ln(), high.ln());
    let step = (to - from) / BUCKETS as f64;
    let edges: Vec<f64> = (0..=BUCKETS)
        .map(|i| (from + i as f64 * step).exp())
        .collect();
    let (first, last) = (edges[0], edges[BUCKETS]);
    // What lies outside counts at the nearest edge; the last bucket has its end.
    let below = |edge: f64| sorted.partition_point(|v| v.clamp(first, last) < edge);
    let mut starts: Vec<usize> = edges[..BUCKETS].iter().map(|edge| below(*edge)).collect();
    starts.push(sorted.len());
    Histogram {
        buckets: edges.windows(2).map(|pair| (pair[0], pair[1])).collect(),
        counts: starts.windows(2).map(|pair| pair[1] - pair[0]).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_divided_as_python_divides() {
        // CPython: 10**30 / 7, (2**53 + 1) / 1, -1 / 3, 2**100 / 3, (2**60 + 1) / 2**7
        assert_eq!(quotient(10i128.pow(30), 7), 1.4285714285714285e29);
        assert_eq!(quotient((1 << 53) + 1, 1), 9007199254740992.0);
        assert_eq!(quotient(-1, 3), -0.3333333333333333);
        assert_eq!(quotient(1 << 100, 3), 4.2255020007607644e29);
        assert_eq!(quotient((1 << 60) + 1, 1 << 7), 9007199254740992.0);
        assert_eq!(quotient(0, 5), 0.0);
    }

    #[test]
    fn nothing_and_one_value_have_blocks_too() {
        let none = serde_json::to_value(Series::of_integers(&[], false)).unwrap();
        assert_eq!(none, serde_json::json!({}));
        let none = serde_json::to_value(Series::of_doubles(&[])).unwrap();
        assert!(none["early_stopping_percentiles"]["99.9"].is_null());
        assert_eq!(none.as_object().unwrap().len(), 1);
        let one = serde_json::to_value(Series::of_integers(&[-7], true)).unwrap();
        assert_eq!((&one["std_dev"], &one["min"]), (&0.0.into(), &(-7).into()));
        // Everything below 1 is in the first bucket.
        assert_eq!(one["histogram"]["counts"][0], 1);
    }

    #[test]
    fn values_beyond_any_clock_are_no_panic() {
        let series = Series::of_integers(&[i64::MAX, i64::MIN, i64::MIN, i64::MAX, 0], true);
        assert!(matches!(series, Series::Seen(_)));
        assert!(serde_json::to_value(series).unwrap()["std_dev"].is_number());
        let high = serde_json::to_value(Series::of_integers(&[i64::MAX; 4], true)).unwrap();
        assert!(high["total"].is_f64());
    }
}
