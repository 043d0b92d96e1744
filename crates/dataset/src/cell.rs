//! A cell as pandas hands it to the reference's scripts, and pandas' rules for columns with gaps.

use crate::Decimal;

/// One value of a column, typed as `DataFrame.iloc` types it.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Whatever `pandas.isna` is true for: None, NaN, NA. There is no [`Cell::Float`] that is not a number.
    Null,
    /// A string, or the `str` of a date, a time or a UUID, which are objects in pandas.
    Text(String),
    /// An integer.
    Int(i64),
    /// An integer above `i64::MAX`, which only columns of unsigned ones hold.
    Unsigned(u64),
    /// A float. A float32 becomes the float64 of the same shortest decimals, because Python's `str` shows those for both.
    Float(f64),
    /// A `decimal.Decimal`.
    Decimal(Decimal),
    /// A boolean.
    Bool(bool),
}

impl Cell {
    pub(crate) fn float(value: f64) -> Self {
        if value.is_nan() {
            Self::Null
        } else {
            Self::Float(value)
        }
    }

    pub(crate) fn unsigned(value: u64) -> Self {
        i64::try_from(value).map_or(Self::Unsigned(value), Self::Int)
    }

    pub(crate) fn float32(value: f32) -> Self {
        // Rust prints the shortest decimals that give the same float32, and every one of them parses as a float64.
        Self::float(value.to_string().parse().unwrap_or(f64::from(value)))
    }
}

/// NumPy has no integer that means "missing": a column of integers with gaps is one of floats in pandas.
/// Source: pandas' user guide, "Working with missing data", on NaN and integers.
pub(crate) fn floats_if_gaps(mut cells: Vec<Cell>) -> Vec<Cell> {
    if cells.contains(&Cell::Null) {
        for cell in &mut cells {
            match *cell {
                Cell::Int(value) => *cell = Cell::Float(value as f64),
                Cell::Unsigned(value) => *cell = Cell::Float(value as f64),
                _ => {}
            }
        }
    }
    cells
}
