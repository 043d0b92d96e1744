//! What is wrong with a column of a pickled frame; the frame makes the package's error of it.

/// Why a column cannot be had.
pub(super) enum Error {
    /// A shape that pandas does not write.
    Shape(String),
    /// The column is of another type than asked for.
    Column(String),
    /// One row is.
    Row(usize, String),
    /// A few bytes that stand for too many.
    Large,
}

pub(super) type Result<T, E = Error> = std::result::Result<T, E>;

pub(super) fn shape<T>(what: impl Into<String>) -> Result<T> {
    Err(Error::Shape(what.into()))
}
