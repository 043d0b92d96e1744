//! The cell of the reference data that holds the right answer.
//!
//! Owns: a cell as pandas hands it to the grader, and its text in Python. Does not own: reading parquet. Plain data.

use std::fmt;

use ossmark_dataset::Decimal;
use ossmark_python::float_repr;

/// A cell of the column `ground_truth`, as pandas gives it to the reference: a column of integers with a null in it is a column
/// of floats there.
#[derive(Debug, Clone, PartialEq)]
pub enum GroundTruth {
    /// Null, None or NaN.
    Missing,
    /// A string.
    Text(String),
    /// An integer of any width.
    Integer(i128),
    /// A float; NaN counts as [`GroundTruth::Missing`], see [`GroundTruth::from_float`].
    Float(f64),
    /// A `decimal.Decimal`.
    Decimal(Decimal),
    /// A boolean.
    Boolean(bool),
}

impl GroundTruth {
    /// A float cell: NaN is missing.
    pub fn from_float(value: f64) -> Self {
        if value.is_nan() {
            Self::Missing
        } else {
            Self::Float(value)
        }
    }

    /// Python's `bool(value)`; the reference takes what is not true for wrong.
    pub(super) fn is_truthy(&self) -> bool {
        match self {
            Self::Missing => false,
            Self::Text(text) => !text.is_empty(),
            Self::Integer(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Decimal(value) => !value.is_zero(),
            Self::Boolean(value) => *value,
        }
    }

    /// Python's name of the type, for its messages.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Missing => "NoneType",
            Self::Text(_) => "str",
            Self::Integer(_) => "int",
            Self::Float(_) => "float",
            Self::Decimal(_) => "decimal.Decimal",
            Self::Boolean(_) => "bool",
        }
    }
}

impl fmt::Display for GroundTruth {
    /// `str(value)` of Python.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("None"),
            Self::Text(text) => f.write_str(text),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Float(value) => f.write_str(&float_repr(*value)),
            Self::Decimal(value) => write!(f, "{value}"),
            Self::Boolean(value) => f.write_str(if *value { "True" } else { "False" }),
        }
    }
}
